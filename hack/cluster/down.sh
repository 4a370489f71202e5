#!/usr/bin/env bash
# Stops everything that up.sh started, by the noted process ids, and removes what it stored.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
[[ -e $state/pids ]] || exit 0
cd "$state" || exit 1
# After a restart of the machine, a noted process id may be somebody else's.
runs() { [[ $(cat "/proc/$1/comm" 2>/dev/null) == "${2:0:15}" ]]; }
signal() { # SIGNAL NAMES: in the order opposite to that of their start.
  while read -r pid name; do
    [[ $name =~ ^($2)$ ]] && runs "$pid" "$name" && kill "-$1" "$pid"
  done < <(tac pids)
}
# The kubelet ends the pods, so that it unmounts what it mounted; nobody makes new ones.
signal TERM 'kube-controller-manager|kube-scheduler'
if timeout 10 programs/kubectl --kubeconfig admin.kubeconfig delete pods --all --all-namespaces --force --grace-period=0 --wait=false >/dev/null 2>&1; then
  for _ in $(seq 100); do [[ $(ctr containers ls -q 2>/dev/null) ]] || break; sleep 0.2; done
fi
signal TERM 'kubelet'; sleep 1
for task in $(ctr tasks ls -q 2>/dev/null); do ctr tasks delete --force "$task" >/dev/null 2>&1; done
signal TERM '.*'
alive() { while read -r pid name; do runs "$pid" "$name" && return; done <pids; return 1; }
for _ in $(seq 50); do alive || break; sleep 0.2; done
signal KILL '.*'
programs/kube-proxy --cleanup >log/cleanup.log 2>&1
# Innermost first.
awk -v d="$state/" 'index($2, d) == 1 {print $2}' /proc/mounts | tac | xargs -r -n1 umount -l
ip link delete $bridge 2>/dev/null
for folder in /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods; do
  [[ -d $folder ]] && find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null
done
rm -rf pids etcd containerd run kubelet cni containerd.sock containerd.sock.ttrpc ./*.kubeconfig
exit 0
