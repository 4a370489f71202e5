// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/ldap"
	"getcakewalk.io/access-operator/internal/provisioning/mysql"
	"getcakewalk.io/access-operator/internal/provisioning/postgresql"
)

// certificate writes a certificate that signs itself, for a name, and its key. It returns the files and who trusts it.
func certificate(t *testing.T, dir, name string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600))
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	pool.AddCert(parsed)
	return cert, key, pool
}

// trust are the ways to meet a certificate for "directory.example.com", and what a check says then.
func trust(pool *x509.CertPool) map[string]struct {
	config *tls.Config
	want   string
} {
	return map[string]struct {
		config *tls.Config
		want   string
	}{
		"the right authority": {&tls.Config{RootCAs: pool, ServerName: "directory.example.com", MinVersion: tls.VersionTLS12}, ""},
		"no authority":        {&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "directory.example.com", MinVersion: tls.VersionTLS12}, "certificate is not trusted"},
		"another name":        {&tls.Config{RootCAs: pool, ServerName: "other.example.com", MinVersion: tls.VersionTLS12}, "not valid for its name"},
	}
}

func checks(t *testing.T, b provisioning.Backend, want string) {
	t.Helper()
	err := b.Check(t.Context())
	if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestLDAPOverTLS(t *testing.T) {
	dir := dataFolder(t, nil)
	cert, key, pool := certificate(t, dir, "directory.example.com")
	port := freePort(t)
	o := startSlapd(t, "groupOfNames", fmt.Sprintf("TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n", cert, cert, key), fmt.Sprintf("ldaps://127.0.0.1:%d", port))
	for name, tc := range trust(pool) {
		for kind, url := range map[string]string{"ldaps": fmt.Sprintf("ldaps://127.0.0.1:%d", port), "startTLS": "ldap://" + o.addr} {
			t.Run(kind+", "+name, func(t *testing.T) {
				options := o.options(o.addr, o.secrets[len(o.secrets)-1])
				options.URL, options.StartTLS, options.TLS = url, kind == "startTLS", tc.config
				options.UserFilter = "(uid=" + ldap.Placeholder + ")"
				b := ldap.New(options)
				t.Cleanup(b.Close)
				checks(t, b, tc.want)
			})
		}
	}
}

func TestPostgreSQLOverTLS(t *testing.T) {
	as := systemUser(t, "postgres")
	dir := dataFolder(t, as)
	cert, key, pool := certificate(t, dir, "directory.example.com")
	if as != nil {
		must(t, os.Chown(key, int(as.Uid), int(as.Gid)))
	}
	p := startPostgres(t, "-c", "ssl=on", "-c", "ssl_cert_file="+cert, "-c", "ssl_key_file="+key)
	for name, tc := range trust(pool) {
		t.Run(name, func(t *testing.T) {
			b, err := postgresql.New(postgresql.Options{
				Host: "127.0.0.1", Port: uint16(p.port), Database: "postgres", Username: "operator", Password: p.secrets[len(p.secrets)-1], Timeout: 5 * time.Second, TLS: tc.config,
			})
			must(t, err)
			t.Cleanup(b.Close)
			checks(t, b, tc.want)
		})
	}
	t.Run("a server without TLS", func(t *testing.T) {
		plain := startPostgres(t)
		b, err := postgresql.New(postgresql.Options{
			Host: "127.0.0.1", Port: uint16(plain.port), Database: "postgres", Username: "operator", Password: "x", Timeout: 5 * time.Second, TLS: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "x"},
		})
		must(t, err)
		t.Cleanup(b.Close)
		checks(t, b, "does not speak TLS")
	})
}

func TestMySQLOverTLS(t *testing.T) {
	as := systemUser(t, "mysql")
	dir := dataFolder(t, as)
	cert, key, pool := certificate(t, dir, "directory.example.com")
	if as != nil {
		must(t, os.Chown(key, int(as.Uid), int(as.Gid)))
	}
	m := startMariaDB(t, "--ssl-cert="+cert, "--ssl-key="+key)
	for name, tc := range trust(pool) {
		t.Run(name, func(t *testing.T) {
			host, port, err := net.SplitHostPort(net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)))
			must(t, err)
			n, err := strconv.ParseUint(port, 10, 16)
			must(t, err)
			b, err := mysql.New(mysql.Options{Host: host, Port: uint16(n), Username: "operator", Password: m.secrets[len(m.secrets)-1], Timeout: 5 * time.Second, TLS: tc.config})
			must(t, err)
			t.Cleanup(b.Close)
			checks(t, b, tc.want)
		})
	}
}
