// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"time"
)

// Protocol teaches a WireProxy to tell the messages of a client apart. It is for protocols in which a client waits for
// the answer to each message.
type Protocol struct {
	// Next reads one message of the client. first tells whether it is the connection's first, which some protocols frame
	// in another way.
	Next func(r *bufio.Reader, first bool) ([]byte, error)
	// Kind tells what a message is.
	Kind func(message []byte) Request
	// Answer returns what the server would send for Busy, Fail, Refuse or Swallow. Nil cuts the connection instead.
	Answer func(message []byte, f Fault) []byte
}

// WireProxy is a Proxy in front of a server that speaks a protocol of messages.
type WireProxy struct {
	// Addr is the proxy's address, host and port.
	Addr string

	faults   faults
	protocol Protocol
	upstream string
	listener net.Listener
	done     chan struct{}
	sessions sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

var _ Proxy = (*WireProxy)(nil)

// NewWireProxy returns a proxy in front of the server of an address, which ends with the test.
func NewWireProxy(tb testing.TB, upstream string, protocol Protocol) *WireProxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &WireProxy{
		Addr: l.Addr().String(), protocol: protocol, upstream: upstream, listener: l,
		done: make(chan struct{}), open: map[net.Conn]bool{},
	}
	p.sessions.Go(p.accept)
	tb.Cleanup(func() {
		close(p.done)
		l.Close()
		p.Clear()
		p.Cut()
		p.sessions.Wait()
	})
	return p
}

func (p *WireProxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.keep(c)
		p.sessions.Go(func() {
			defer p.drop(c)
			p.serve(c)
		})
	}
}

// serve passes one connection on until either side ends it.
func (p *WireProxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.upstream, 5*time.Second)
	if err != nil {
		return
	}
	p.keep(server)
	defer p.drop(server)
	back := &answers{to: client}
	p.sessions.Go(func() {
		defer client.Close()
		back.copy(server)
	})
	r := bufio.NewReader(client)
	for first := true; ; first = false {
		message, err := p.protocol.Next(r, first)
		if err != nil || !p.pass(client, server, back, message) {
			return
		}
	}
}

// pass passes a message on, or does what a fault says. It returns false where the connection is to be cut.
func (p *WireProxy) pass(client, server net.Conn, back *answers, message []byte) bool {
	fault, freed := p.faults.meet(p.protocol.Kind(message))
	switch fault {
	case "":
		_, err := server.Write(message)
		return err == nil
	case Hang:
		select {
		case <-freed:
		case <-p.done:
		}
		return false
	case FailAfter:
		answered := back.swallow()
		if _, err := server.Write(message); err != nil {
			return false
		}
		select {
		case <-answered:
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
		return false
	default:
		answer := p.protocol.Answer(message, fault)
		if answer == nil {
			return false
		}
		_, err := client.Write(answer)
		return err == nil
	}
}

// answers passes on what the server sends.
type answers struct {
	to net.Conn

	mu       sync.Mutex
	answered chan struct{}
}

// swallow keeps from now on what the server sends. The channel is closed once it has sent something.
func (a *answers) swallow() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered = make(chan struct{})
	return a.answered
}

func (a *answers) copy(from net.Conn) {
	buffer := make([]byte, 32<<10)
	told := false
	for {
		n, err := from.Read(buffer)
		a.mu.Lock()
		answered := a.answered
		a.mu.Unlock()
		if answered != nil {
			if !told {
				close(answered)
				told = true
			}
		} else if _, werr := a.to.Write(buffer[:n]); werr != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *WireProxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
}

func (p *WireProxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// Inject implements Proxy.
func (p *WireProxy) Inject(f Fault, on Request, skip int) { p.faults.inject(f, on, skip) }

// Clear implements Proxy.
func (p *WireProxy) Clear() int { return p.faults.clear() }

// Cut implements Proxy.
func (p *WireProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}
