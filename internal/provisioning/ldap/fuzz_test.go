// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// FuzzObserve lets a directory answer every search with some bytes, after which it hangs up. Whatever they are, nobody is
// taken for a member whom they do not name.
func FuzzObserve(f *testing.F) {
	f.Add(append(entry(2, "cn=ann,dc=example", "uid", []string{"ann"}), done(2, ldapv3.LDAPResultSuccess)...))
	f.Add(append(entry(2, "cn=g,dc=example", "objectClass", []string{"group"}, "member;range=0-x", []string{"cn=ann,dc=example"}), done(2, ldapv3.LDAPResultSuccess)...))
	f.Add(done(2, ldapv3.LDAPResultSizeLimitExceeded))
	f.Add(done(2, ldapv3.LDAPResultSuccess, &ldapv3.ControlPaging{Cookie: []byte("more")}))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { listener.Close() })
	answers := make(chan []byte, 1)
	go serveBytes(listener, answers)
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) > 4096 {
			return
		}
		answers <- answer
		defer func() { <-answers }()
		b := New(Options{
			URL: "ldap://" + listener.Addr().String(), BindDN: "cn=x", Password: "x", Timeout: 2 * time.Second,
			UserBase: "dc=example", UserFilter: "(cn={subject})", EmptyGroupMember: "cn=nobody",
		})
		defer b.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		seen, err := b.Observe(ctx, provisioning.Subject{ID: "ann"}, []string{"cn=g,dc=example"})
		if err == nil && seen.Entitlements["cn=g,dc=example"].Presence == provisioning.Present && !strings.Contains(string(answer), "member") {
			t.Errorf("%q makes a member", answer)
		}
	})
}

// serveBytes lets everybody bind, and answers what comes then with the bytes that are set.
func serveBytes(listener net.Listener, answers chan []byte) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				request, err := ber.ReadPacket(c)
				if err != nil || len(request.Children) < 2 {
					return
				}
				if request.Children[1].Tag == ldapv3.ApplicationBindRequest {
					_, _ = c.Write(message(request.Children[0].Value, ldapv3.ApplicationBindResponse, result(ldapv3.LDAPResultSuccess)...).Bytes())
					continue
				}
				answer := <-answers
				answers <- answer
				_, _ = c.Write(answer)
				// What the other side still writes is read, so that the end of the connection is not a reset.
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
				return
			}
		}()
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"cn=Ann, dc=Example", `cn=a\,b,dc=x`, `cn=\ a\ ,dc=x`, "cn=a+uid=b,dc=x", "no dn", `cn=#04024869`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		once := normalize(dn)
		if twice := normalize(once); twice != once {
			t.Errorf("%q becomes %q, and that %q", dn, once, twice)
		}
	})
}
