// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Names and permissions of what is in a spool's folder.
const (
	lockName  = "lock"
	asideName = "set-aside"
	suffix    = ".delivery"

	folderMode = 0o700
	fileMode   = 0o600
	// blockSize is what the smallest file takes of a disk. Sizes are counted in it, which bounds the number of files too.
	blockSize = 4096
)

// ErrFull says that there is no room for a delivery.
var ErrFull = errors.New("the spool is full")

// Options bound a spool.
type Options struct {
	// MaxBytes is how many bytes deliveries may take. One receiver may take half of them. What is set aside may take a
	// quarter as many in addition; beyond that the oldest is removed.
	MaxBytes int64
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Entry is a delivery in a spool.
type Entry struct {
	// Name is the name of its file.
	Name string
	// Namespace and Receiver name the WebhookReceiver that it came to.
	Namespace, Receiver string
	// Arrival is when it arrived.
	Arrival time.Time

	sequence uint64
	size     int64
}

func (e Entry) owner() owner { return owner{e.Namespace, e.Receiver} }

func (e Entry) compare(other Entry) int {
	return cmp.Or(e.Arrival.Compare(other.Arrival), cmp.Compare(e.sequence, other.sequence))
}

type owner struct{ namespace, receiver string }

// Spool is an open spool. It may be used by several goroutines.
type Spool struct {
	dir      string
	maxBytes int64
	now      func() time.Time
	lock     *os.File

	mu sync.Mutex
	// entries are in the order of arrival.
	entries  []Entry
	sequence uint64
	// bytes are taken by entries and by what is being written, also by owner.
	bytes   int64
	byOwner map[owner]int64
	aside   aside
}

// Open opens the spool in a folder, which is made where there is none, and sets aside what is damaged in it. It returns
// the reports of what it set aside. It fails where another process uses the folder, or where it cannot be written.
func Open(dir string, o Options) (*Spool, []SetAside, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Spool{dir: dir, maxBytes: o.MaxBytes, now: o.Now, byOwner: map[owner]int64{}, aside: aside{dir: filepath.Join(dir, asideName), max: o.MaxBytes / 4}}
	for _, folder := range []string{dir, s.aside.dir} {
		if err := os.MkdirAll(folder, folderMode); err != nil {
			return nil, nil, fmt.Errorf("opening the spool: %w", err)
		}
	}
	var err error
	if s.lock, err = lockFile(filepath.Join(dir, lockName)); err != nil {
		return nil, nil, fmt.Errorf("opening the spool: %w", err)
	}
	reports, err := s.load()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening the spool: %w", err), s.lock.Close())
	}
	return s, reports, nil
}

// Close lets another process open the folder. What is in the spool stays.
func (s *Spool) Close() error { return s.lock.Close() }

// load reads what is in the folder.
func (s *Spool) load() ([]SetAside, error) {
	if err := s.aside.load(); err != nil {
		return nil, err
	}
	s.sequence = s.aside.lastSequence()
	found, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var reports []SetAside
	for _, f := range found {
		name := f.Name()
		if f.IsDir() || filepath.Ext(name) != suffix {
			continue
		}
		if name[0] == '.' {
			// Nobody was told that it was taken.
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
				return nil, err
			}
			continue
		}
		arrival, sequence, named := parseName(name)
		s.sequence = max(s.sequence, sequence)
		e := Entry{Name: name, Arrival: arrival, sequence: sequence}
		d, err := s.Read(e)
		if err == nil && (!named || !d.Arrival.Equal(arrival)) {
			err = ErrDamaged
		}
		switch {
		case errors.Is(err, ErrDamaged):
			report, err := s.aside.move(s.dir, e, ReasonDamaged)
			if err != nil {
				return nil, err
			}
			reports = append(reports, report)
		case err != nil:
			return nil, err
		default:
			info, err := f.Info()
			if err != nil {
				return nil, err
			}
			e.Namespace, e.Receiver, e.size = d.Namespace, d.Receiver, sizeOf(info.Size())
			s.entries = append(s.entries, e)
			s.reserve(e.owner(), e.size)
		}
	}
	slices.SortFunc(s.entries, Entry.compare)
	return reports, nil
}

// reserve takes bytes for an owner, or gives them back. The caller holds s.mu, or is alone.
func (s *Spool) reserve(o owner, bytes int64) {
	s.bytes += bytes
	if s.byOwner[o] += bytes; s.byOwner[o] == 0 {
		delete(s.byOwner, o)
	}
}

// Put keeps a delivery. It is on the disk when Put returns nil. The error is ErrFull, or one of the disk; nothing is kept then.
func (s *Spool) Put(d Delivery) error {
	d.Arrival = d.Arrival.UTC().Truncate(time.Microsecond)
	text, err := d.encode()
	if err != nil {
		return err
	}
	e := Entry{Namespace: d.Namespace, Receiver: d.Receiver, Arrival: d.Arrival, size: sizeOf(int64(len(text)))}
	s.mu.Lock()
	if s.bytes+e.size > s.maxBytes || s.byOwner[e.owner()]+e.size > max(s.maxBytes/2, e.size) {
		s.mu.Unlock()
		return ErrFull
	}
	s.reserve(e.owner(), e.size)
	s.sequence++
	e.sequence = s.sequence
	s.mu.Unlock()

	e.Name = makeName(e.Arrival, e.sequence)
	err = write(s.dir, e.Name, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.reserve(e.owner(), -e.size)
		return fmt.Errorf("writing to the spool: %w", err)
	}
	at, _ := slices.BinarySearchFunc(s.entries, e, Entry.compare)
	s.entries = slices.Insert(s.entries, at, e)
	return nil
}

// Read reads a delivery. The error is ErrDamaged, or one of the disk.
func (s *Spool) Read(e Entry) (*Delivery, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, e.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it is gone", ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("reading from the spool: %w", err)
	}
	return decode(text)
}

// Entries returns what is in the spool, in the order of arrival.
func (s *Spool) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// Holds says whether there is a delivery to a receiver in the spool.
func (s *Spool) Holds(namespace, receiver string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byOwner[owner{namespace, receiver}] > 0
}

// Stats say how much is in a spool.
type Stats struct {
	// Files is how many deliveries there are, and Bytes what they take of the bound.
	Files int
	Bytes int64
	// Oldest is when the oldest arrived. It is zero where there is none.
	Oldest time.Time
	// AsideFiles and AsideBytes are what is set aside.
	AsideFiles int
	AsideBytes int64
}

// Stats returns how much is in the spool.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Files: len(s.entries), Bytes: s.bytes, AsideFiles: len(s.aside.files), AsideBytes: s.aside.bytes}
	if len(s.entries) > 0 {
		stats.Oldest = s.entries[0].Arrival
	}
	return stats
}

// Remove removes a delivery that is stored. After a power cut it may be there again: storing it again does no harm.
func (s *Spool) Remove(e Entry) error {
	if err := os.Remove(filepath.Join(s.dir, e.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing from the spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(e)
	return nil
}

// SetAside takes a delivery out of the spool and keeps its file for a person.
func (s *Spool) SetAside(e Entry, reason Reason) (SetAside, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	report, err := s.aside.move(s.dir, e, reason)
	if err != nil {
		return SetAside{}, fmt.Errorf("setting aside: %w", err)
	}
	s.drop(e)
	return report, nil
}

// drop forgets an entry. The caller holds s.mu.
func (s *Spool) drop(e Entry) {
	if at, found := slices.BinarySearchFunc(s.entries, e, Entry.compare); found {
		s.entries = slices.Delete(s.entries, at, at+1)
		s.reserve(e.owner(), -e.size)
	}
}

// sizeOf is what a file takes of the bound.
func sizeOf(length int64) int64 {
	return (length + blockSize - 1) / blockSize * blockSize
}
