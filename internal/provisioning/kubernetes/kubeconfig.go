// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"errors"
	"fmt"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// FromKubeconfig reads the current context of a kubeconfig whose credentials are in the text itself. Programs to run and
// files to read are refused: the text comes from a tenant, and they would be the operator's own. No error repeats the text.
func FromKubeconfig(text []byte) (*rest.Config, error) {
	config, err := clientcmd.Load(text)
	if err != nil {
		return nil, errors.New("is not a kubeconfig")
	}
	current, ok := config.Contexts[config.CurrentContext]
	if !ok {
		return nil, errors.New("has no current-context that is in its contexts")
	}
	cluster, user := config.Clusters[current.Cluster], config.AuthInfos[current.AuthInfo]
	if cluster == nil || user == nil {
		return nil, errors.New("has a current-context whose cluster or user is missing")
	}
	if err := refuse(cluster, user); err != nil {
		return nil, err
	}
	// Only what the operator is to use.
	only := clientcmdapi.NewConfig()
	only.Clusters["c"], only.AuthInfos["u"] = cluster, user
	only.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	only.CurrentContext = "x"
	rc, err := clientcmd.NewDefaultClientConfig(*only, nil).ClientConfig()
	if err != nil {
		return nil, errors.New("cannot be used: its certificates, keys or server are not valid")
	}
	return rc, nil
}

func refuse(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) error {
	server, err := url.Parse(cluster.Server)
	switch {
	case err != nil, server.Host == "":
		return errors.New("has a server that is no URL")
	case server.Scheme != "https" && server.Hostname() != "127.0.0.1" && server.Hostname() != "localhost":
		return errors.New("has a server without https: credentials travel with every request")
	case cluster.InsecureSkipTLSVerify:
		return errors.New("has insecure-skip-tls-verify: give certificate-authority-data instead")
	case cluster.ProxyURL != "":
		return errors.New("has a proxy-url, which is not used")
	}
	for field, used := range map[string]bool{
		"exec":                  user.Exec != nil,
		"auth-provider":         user.AuthProvider != nil,
		"tokenFile":             user.TokenFile != "",
		"client-certificate":    user.ClientCertificate != "",
		"client-key":            user.ClientKey != "",
		"certificate-authority": cluster.CertificateAuthority != "",
	} {
		if used {
			return fmt.Errorf("uses %s: credentials must be in the kubeconfig itself (token, client-certificate-data, client-key-data, certificate-authority-data)", field)
		}
	}
	return nil
}

// withoutURL drops the address from an error.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}
