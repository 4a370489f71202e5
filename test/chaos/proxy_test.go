// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"net"
	"sync"
	"testing"
	"time"
)

// weather is what a network does to its connections.
type weather int

const (
	// fair: everything passes.
	fair weather = iota
	// stalled: nothing passes until the weather changes.
	stalled
	// refusing: new connections are reset.
	refusing
	// deaf: what is sent arrives, and no answer comes back, until the weather changes.
	deaf
	// swallowing: new connections are taken, and nothing ever passes on them.
	swallowing
)

// network carries connections to an upstream, in all weathers.
type network struct {
	address, upstream string

	mu      sync.Mutex
	now     weather
	changed chan struct{}
	links   map[*link]bool
	running sync.WaitGroup
}

// link is a connection through the network.
type link struct {
	down, up net.Conn
	// lost is closed when nothing passes any more, and nobody is told.
	lost chan struct{}
	once sync.Once
}

// newNetwork carries connections to an address until the test ends.
func newNetwork(t *testing.T, upstream string) *network {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{address: listener.Addr().String(), upstream: upstream, changed: make(chan struct{}), links: map[*link]bool{}}
	n.running.Go(func() {
		for {
			down, err := listener.Accept()
			if err != nil {
				return
			}
			n.running.Go(func() { n.carry(down) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.reset()
		n.set(fair)
		n.running.Wait()
	})
	return n
}

// set changes the weather.
func (n *network) set(w weather) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = w
	close(n.changed)
	n.changed = make(chan struct{})
}

// weather returns what it is, and what is closed when it changes.
func (n *network) weather() (weather, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now, n.changed
}

// each does something to every connection.
func (n *network) each(do func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		do(l)
	}
}

// reset resets every connection.
func (n *network) reset() { n.each((*link).reset) }

// lose forgets every connection: what is sent goes nowhere, and neither end is told.
func (n *network) lose() { n.each((*link).lose) }

func (l *link) lose() { l.once.Do(func() { close(l.lost) }) }

// reset closes both ends so that they see a reset.
func (l *link) reset() {
	l.lose()
	for _, c := range []net.Conn{l.down, l.up} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}

// carry carries a connection until an end closes it.
func (n *network) carry(down net.Conn) {
	l := &link{down: down, lost: make(chan struct{})}
	w, _ := n.weather()
	if w == refusing {
		l.reset()
		return
	}
	up, err := net.DialTimeout("tcp", n.upstream, 5*time.Second)
	if err != nil {
		l.reset()
		return
	}
	l.up = up
	if w == swallowing {
		l.lose()
	}
	n.mu.Lock()
	n.links[l] = true
	n.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { n.pass(l, up, down, stalled) })
	both.Go(func() { n.pass(l, down, up, stalled, deaf) })
	both.Wait()
	n.mu.Lock()
	delete(n.links, l)
	n.mu.Unlock()
	down.Close()
	up.Close()
}

// pass copies what comes, but for weathers that hold it up.
func (n *network) pass(l *link, to, from net.Conn, heldUpBy ...weather) {
	buffer := make([]byte, 32<<10)
	for {
		size, err := from.Read(buffer)
		if size > 0 && n.clears(l, heldUpBy) {
			_, err = to.Write(buffer[:size])
		}
		if err != nil {
			select {
			case <-l.lost:
				// The other end is not told. It is closed when this end is.
				if from == l.up {
					return
				}
			default:
			}
			to.Close()
			from.Close()
			return
		}
	}
}

// clears waits until the weather lets something pass. It is false where the connection was lost.
func (n *network) clears(l *link, heldUpBy []weather) bool {
	for {
		now, changed := n.weather()
		held := false
		for _, w := range heldUpBy {
			held = held || w == now
		}
		select {
		case <-l.lost:
			return false
		default:
		}
		if !held {
			return true
		}
		select {
		case <-l.lost:
		case <-changed:
		}
	}
}
