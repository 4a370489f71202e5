// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fakecakewalk is a Cakewalk in memory, for trying the operator without a tenant: the Open API, webhooks that it
// signs and delivers, and a console to make requests and to act as a person. docs/cakewalk.md shows its use.
package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// settings are the flags.
type settings struct {
	listen, apiKey, apiSecret, webhookURL, hmacSecretFile, rsaKeyFile string
	readOnly                                                          bool
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&s.apiKey, "api-key", "", "the API key that is taken; empty: a random one, which is printed")
	flag.StringVar(&s.apiSecret, "api-secret", "", "the API secret that is taken; empty: a random one, which is printed")
	flag.BoolVar(&s.readOnly, "read-only", false, "whether the key is a read-only one")
	flag.StringVar(&s.webhookURL, "webhook-url", "", "URL that webhooks are delivered to; empty: they are not")
	flag.StringVar(&s.hmacSecretFile, "hmac-secret-file", "", "file with the secret that webhooks are signed with (HMAC-SHA256)")
	flag.StringVar(&s.rsaKeyFile, "rsa-key-file", "", "file with the private RSA key in PEM that webhooks are signed with where there is no HMAC secret; empty: a new one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakecakewalk:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	fake, err := newFake(s)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	root := "http://" + l.Addr().String()
	fake.ServedAt(root)
	mux := http.NewServeMux()
	mux.Handle("/api/", fake)
	mux.Handle("/", &console{fake: fake, webhookURL: s.webhookURL})
	// Long enough for a delivery that the console waits for.
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
	fmt.Println("listening on", root)
	fmt.Printf("  console         %s/\n  Open API        %s\n  public keys     %s\n  apiKey          %s\n  apiSecret       %s\n  webhooks go to  %s\n",
		root, fake.URL, fake.KeysURL, fake.Key, fake.Secret, cmp.Or(s.webhookURL, "nowhere: --webhook-url is not set"))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func newFake(s settings) (*cakewalktest.Fake, error) {
	o := cakewalktest.Options{Key: s.apiKey, Secret: s.apiSecret, ReadOnly: s.readOnly}
	if s.hmacSecretFile != "" {
		secret, err := os.ReadFile(s.hmacSecretFile)
		if err != nil {
			return nil, err
		}
		if o.HMACSecret = strings.TrimSpace(string(secret)); o.HMACSecret == "" {
			return nil, fmt.Errorf("%s is empty", s.hmacSecretFile)
		}
	}
	fake := cakewalktest.New(o)
	if s.rsaKeyFile != "" {
		key, err := readKey(s.rsaKeyFile)
		if err != nil {
			return nil, err
		}
		fake.UseKey(key, false)
	}
	return fake, nil
}

// readKey reads a private RSA key in PEM: PKCS #8 or PKCS #1.
func readKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := parsed.(*rsa.PrivateKey); ok && err == nil {
		return key, nil
	}
	return nil, fmt.Errorf("%s holds no private RSA key", path)
}
