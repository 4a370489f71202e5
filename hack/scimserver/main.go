// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scimserver is a SCIM 2.0 service provider in memory, for the demo and for tries: the protocol is the library
// elimity-com/scim's, the store is here.
package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/elimity-com/scim"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
)

type names []string

// String implements flag.Value.
func (n *names) String() string { return strings.Join(*n, " ") }

// Set implements flag.Value.
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func main() {
	var users, groups names
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	tokenFile := flag.String("token-file", "", "file with the bearer token, read at every request; empty: any request is served")
	delay := flag.Duration("delay", 0, "how long every request waits")
	logChanges := flag.Bool("log-changes", false, "print a line for every request that changes something, with its body")
	flag.Var(&users, "user", "userName of a user that exists (repeatable)")
	flag.Var(&groups, "group", "displayName of a group that exists, with =user,user its members (repeatable)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var changes io.Writer
	if *logChanges {
		changes = os.Stdout
	}
	err := run(ctx, *listen, *tokenFile, *delay, changes, users, groups)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scimserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, tokenFile string, delay time.Duration, changes io.Writer, users, groups []string) error {
	s := newStore()
	if err := s.fill(users, groups); err != nil {
		return err
	}
	h, err := newHandler(s)
	if err != nil {
		return err
	}
	if changes != nil {
		h = tell(h, changes)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: guard(h, tokenFile, delay), ReadHeaderTimeout: 5 * time.Second}
	fmt.Printf("listening on http://%s/scim/v2\n", l.Addr())
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

func newHandler(s *store) (http.Handler, error) {
	server, err := scim.NewServer(&scim.ServerArgs{
		ServiceProviderConfig: &scim.ServiceProviderConfig{SupportFiltering: true, SupportPatch: true},
		ResourceTypes: []scim.ResourceType{
			{ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), Handler: &handler{store: s, kind: users, key: "userName"}},
			{ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: &handler{store: s, kind: groups, key: "displayName"}},
		},
	})
	return http.StripPrefix("/scim", server), err
}

// tell writes a line for every request that may change something: method, path, status and body.
func tell(next http.Handler, w io.Writer) http.Handler {
	logger := log.New(w, "", 0)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			next.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<20))
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s := &status{ResponseWriter: rw, code: http.StatusOK}
		next.ServeHTTP(s, r)
		logger.Printf("%s %s %d %s", r.Method, r.URL.Path, s.code, bytes.ReplaceAll(body, []byte("\n"), nil))
	})
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// guard lets requests with the token pass, after the delay.
func guard(next http.Handler, tokenFile string, delay time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
		if tokenFile != "" {
			token, err := os.ReadFile(tokenFile)
			want := "Bearer " + strings.TrimSpace(string(token))
			if err != nil || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
				w.Header().Set("Content-Type", "application/scim+json")
				w.Header().Set("WWW-Authenticate", "Bearer")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = fmt.Fprint(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"401","detail":"the token is not known"}`)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
