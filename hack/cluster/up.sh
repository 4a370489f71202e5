#!/usr/bin/env bash
# Starts a real Kubernetes of one node on this machine, without Docker, and prints KUBECONFIG=... README.md tells more.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
missing=()
for program in containerd ctr runc iptables ip openssl; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[[ -x ${CNI_BIN:=/usr/lib/cni}/bridge ]] || missing+=("CNI plugins in $CNI_BIN (or set CNI_BIN)")
if [[ ${#missing[@]} -gt 0 ]]; then
  echo "missing: ${missing[*]}. On Debian: apt-get install containerd runc containernetworking-plugins iptables iproute2 openssl" >&2
  exit 1
fi
[[ $(id -u) -eq 0 ]] || { echo "a node needs root" >&2; exit 1; }
if [[ -s $state/pids ]]; then
  echo "it is up, or was not taken down: run hack/cluster/down.sh" >&2
  exit 1
fi
bin=$("$root/hack/cluster/build.sh")
export PATH=$bin:$PATH
mkdir -p "$state"/{pki,log,etcd,cni,run,kubelet/plugins}
cd "$state"
trap '[[ $? -eq 0 ]] || echo "it did not come up: the logs are in $state/log" >&2' EXIT

run() { # NAME PROGRAM ARGUMENT...: in the background, noted for down.sh.
  setsid "${@:2}" >"log/$1.log" 2>&1 </dev/null &
  echo "$! $1" >>pids
}
wait_for() { # WHAT SECONDS COMMAND...
  for _ in $(seq $(($2 * 5))); do "${@:3}" >/dev/null 2>&1 && return; sleep 0.2; done
  echo "$1 is not ready after $2 s" >&2
  return 1
}

# Who is who. Everybody but pods shows a certificate; its subject says the user and the groups.
certificate() { # NAME SUBJECT EXTENSIONS
  openssl req -newkey rsa:2048 -nodes -keyout "pki/$1.key" -out "pki/$1.csr" -subj "$2"
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 -out "pki/$1.crt" -extfile <(echo "$3")
}
kubeconfig() { # NAME
  cat >"$1.kubeconfig" <<C
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$node_ip:6443", certificate-authority: $state/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $state/pki/$1.crt, client-key: $state/pki/$1.key}}]
contexts: [{name: access-operator-hack-cluster, context: {cluster: cluster, user: $1}}]
current-context: access-operator-hack-cluster
C
}
if [[ ! -e pki/.complete ]]; then
  {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout pki/ca.key -out pki/ca.crt -subj /CN=ca -days 30
    openssl genrsa -out pki/accounts.key 2048
    certificate apiserver /CN=kube-apiserver "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:${services%.0/*}.1,IP:$node_ip"
    certificate kubelet "/CN=$node_ip" "subjectAltName=IP:$node_ip"
    certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
    certificate node "/O=system:nodes/CN=system:node:$node" extendedKeyUsage=clientAuth
    certificate kube-controller-manager /CN=system:kube-controller-manager extendedKeyUsage=clientAuth
    certificate kube-scheduler /CN=system:kube-scheduler extendedKeyUsage=clientAuth
    certificate kube-proxy /CN=system:kube-proxy extendedKeyUsage=clientAuth
  } 2>log/openssl.log
  touch pki/.complete
fi
for name in admin node kube-controller-manager kube-scheduler kube-proxy; do kubeconfig $name; done

# The control plane. Nothing listens on any address but loopback's and the bridge's.
ip link show $bridge >/dev/null 2>&1 || { ip link add $bridge type bridge && ip addr add $node_ip/16 dev $bridge && ip link set $bridge up; }
run etcd etcd --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:32379 --advertise-client-urls http://127.0.0.1:32379 --listen-peer-urls http://127.0.0.1:32380 --unsafe-no-fsync
run kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:32379 --bind-address $node_ip --secure-port 6443 --advertise-address $node_ip \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt \
  --kubelet-certificate-authority pki/ca.crt --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key --kubelet-preferred-address-types InternalIP \
  --service-account-key-file pki/accounts.key --service-account-signing-key-file pki/accounts.key --service-account-issuer https://kubernetes.default.svc \
  --service-cluster-ip-range $services --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction
kubectl() { command kubectl --kubeconfig "$state/admin.kubeconfig" "$@"; }
wait_for "the API server" 120 kubectl get --raw /readyz
run kube-controller-manager kube-controller-manager --kubeconfig kube-controller-manager.kubeconfig --bind-address 127.0.0.1 --use-service-account-credentials --leader-elect=false \
  --service-account-private-key-file pki/accounts.key --root-ca-file pki/ca.crt
run kube-scheduler kube-scheduler --kubeconfig kube-scheduler.kubeconfig --bind-address 127.0.0.1 --leader-elect=false

# The node. The bridge gives pods addresses; it enforces no NetworkPolicy.
cat >cni/10-bridge.conflist <<C
{"cniVersion": "1.0.0", "name": "$bridge", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/cni/addresses", "ranges": [[{"subnet": "$pods", "rangeStart": "${pods%.0.0/*}.0.10"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
# Where this runs in a container itself, nothing may lower its OOM score: restrict_oom_score_adj.
cat >containerd.toml <<C
version = 2
root = "$state/containerd"
state = "$state/run/containerd"
[grpc]
address = "$socket"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:node"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$CNI_BIN"
conf_dir = "$state/cni"
C
run containerd containerd --config containerd.toml
wait_for containerd 30 ctr version
(cd "$root/hack/image" && go run . -program "linux/$(go env GOARCH)=$(readlink -f "$bin/pause")" -tag pause:node -out "$state/pause.tar")
ctr images import pause.tar >/dev/null
# failCgroupV1: machines that still have cgroup v1 are good enough for this.
cat >kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_ip
tlsCertFile: $state/pki/kubelet.crt
tlsPrivateKeyFile: $state/pki/kubelet.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$socket
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
podLogsDir: $state/log/pods
volumePluginDir: $state/kubelet/plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
# Nothing that load.sh brought can be had again from anywhere.
imageGCHighThresholdPercent: 100
C
run kubelet kubelet --config kubelet.yaml --kubeconfig node.kubeconfig --hostname-override $node --node-ip $node_ip --root-dir "$state/kubelet"
run kube-proxy kube-proxy --kubeconfig kube-proxy.kubeconfig --hostname-override $node --cluster-cidr $pods --conntrack-max-per-core 0 \
  --healthz-bind-address 127.0.0.1:10256 --metrics-bind-address 127.0.0.1:10249
wait_for "the node" 60 kubectl wait --for=condition=Ready --timeout=1s node/$node
wait_for "the default service account" 30 kubectl get serviceaccount default
kubectl get node $node >&2
echo "KUBECONFIG=$state/admin.kubeconfig"
