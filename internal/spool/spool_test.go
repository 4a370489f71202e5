// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func open(t *testing.T, dir string, maxBytes int64) (*Spool, []SetAside) {
	t.Helper()
	s, reports, err := Open(dir, Options{MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, reports
}

func delivery(receiver string, arrival time.Time) Delivery {
	return Delivery{
		Namespace: "tenant", Receiver: receiver, ReceiverUID: "uid", ID: "id", Arrival: arrival,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", RemoteAddress: "192.0.2.1", Body: []byte("[{}]\n\nbody \x00"),
	}
}

func put(t *testing.T, s *Spool, d Delivery) {
	t.Helper()
	if err := s.Put(d); err != nil {
		t.Fatal(err)
	}
}

func names(s *Spool) (all []string) {
	for _, e := range s.Entries() {
		all = append(all, e.Name)
	}
	return all
}

// files are the files below a folder, but for the lock.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() || f.Name() == lockName {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		all = append(all, relative)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatWasPutIsThereAfterARestartInOrderOfArrival(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, 1<<20)
	// Written in another order than they arrived in; two at once.
	arrivals := []time.Time{noon.Add(time.Second), noon, noon.Add(time.Minute), noon}
	for _, a := range arrivals {
		put(t, s, delivery("cakewalk", a))
	}
	want := []string{
		"20261123T120000.123456Z-00000002.delivery", "20261123T120000.123456Z-00000004.delivery",
		"20261123T120001.123456Z-00000001.delivery", "20261123T120100.123456Z-00000003.delivery",
	}
	if diff := cmp.Diff(want, names(s)); diff != "" {
		t.Error(diff)
	}
	before := s.Stats()
	s.Close()
	s, reports := open(t, dir, 1<<20)
	if diff := cmp.Diff(want, names(s)); diff != "" || len(reports) != 0 {
		t.Error(diff, reports)
	}
	if after := s.Stats(); before != after || after.Files != 4 || after.Bytes != 4*blockSize || !after.Oldest.Equal(noon) {
		t.Errorf("%+v before and %+v after a restart", before, after)
	}
	got, err := s.Read(s.Entries()[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(delivery("cakewalk", noon), *got); diff != "" {
		t.Error(diff)
	}
	// The sequence goes on.
	put(t, s, delivery("cakewalk", noon))
	if got := names(s)[2]; got != "20261123T120000.123456Z-00000005.delivery" {
		t.Error(got)
	}
	for _, e := range s.Entries() {
		if err := s.Remove(e); err != nil {
			t.Error(err)
		}
	}
	if left := files(t, dir); len(left) != 0 || s.Stats() != (Stats{}) || s.Holds("tenant", "cakewalk") {
		t.Error(left, s.Stats())
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, 1<<20)
	put(t, s, delivery("cakewalk", noon))
	for path, want := range map[string]fs.FileMode{".": folderMode, asideName: folderMode, lockName: fileMode, names(s)[0]: fileMode} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestOneProcessUsesAFolder(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 1<<20)
	if _, _, err := Open(dir, Options{MaxBytes: 1 << 20}); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	s.Close()
	open(t, dir, 1<<20)
}

func TestAFullSpoolTakesNothing(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 4*blockSize)
	put(t, s, delivery("one", noon))
	put(t, s, delivery("one", noon))
	if err := s.Put(delivery("one", noon)); !errors.Is(err, ErrFull) {
		t.Error("one receiver beyond its half:", err)
	}
	put(t, s, delivery("two", noon))
	put(t, s, delivery("two", noon))
	if err := s.Put(delivery("three", noon)); !errors.Is(err, ErrFull) {
		t.Error("beyond the bound:", err)
	}
	if n := len(files(t, dir)); n != 4 {
		t.Errorf("%d files", n)
	}
	if err := s.Remove(s.Entries()[0]); err != nil {
		t.Fatal(err)
	}
	put(t, s, delivery("three", noon))
}

func TestADiskThatFailsTakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, 1<<20)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(delivery("cakewalk", noon)); err == nil || errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if s.Stats() != (Stats{}) || s.Holds("tenant", "cakewalk") {
		t.Errorf("%+v", s.Stats())
	}
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 1<<20)
	for i := range 4 {
		put(t, s, delivery("cakewalk", noon.Add(time.Duration(i)*time.Second)))
	}
	all := names(s)
	s.Close()
	path := func(name string) string { return filepath.Join(dir, name) }
	whole, err := os.ReadFile(path(all[0]))
	if err != nil {
		t.Fatal(err)
	}
	// Half of a file, a file under the name of another time, and one that was being written.
	for name, text := range map[string][]byte{all[0]: whole[:len(whole)/2], all[1]: whole, "." + all[3]: whole[:10], "notes.txt": nil} {
		if err := os.WriteFile(path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, reports := open(t, dir, 1<<20)
	if len(reports) != 2 || reports[0].Reason != ReasonDamaged || reports[0].Entry.Name != all[0] || reports[1].Entry.Name != all[1] {
		t.Errorf("%+v", reports)
	}
	if diff := cmp.Diff(all[2:], names(s)); diff != "" {
		t.Error(diff)
	}
	want := []string{all[2], all[3], "notes.txt", "set-aside/" + all[0] + ".damaged", "set-aside/" + all[1] + ".damaged"}
	got := files(t, dir)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Damaged while it is open, and gone.
	if err := os.WriteFile(path(all[2]), whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path(all[3])); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Entries() {
		if _, err := s.Read(e); !errors.Is(err, ErrDamaged) {
			t.Error(e.Name, err)
		}
		if _, err := s.SetAside(e, ReasonDamaged); err != nil {
			t.Error(err)
		}
	}
	if got := s.Stats(); got.Files != 0 || got.Bytes != 0 || got.AsideFiles != 3 {
		t.Errorf("%+v", got)
	}
}

func TestEveryChangedByteIsSeen(t *testing.T) {
	d := delivery("cakewalk", noon)
	text, err := d.encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		if _, err := decode(changed); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, err := decode(text[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d bytes: %v", i, err)
		}
	}
}

func TestWhatIsSetAsideIsBounded(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 8*blockSize)
	var removed []string
	for i := range 4 {
		put(t, s, delivery("cakewalk", noon.Add(time.Duration(i)*time.Second)))
		report, err := s.SetAside(s.Entries()[0], ReasonExpired)
		if err != nil {
			t.Fatal(err)
		}
		removed = append(removed, report.Removed...)
	}
	want := []string{"20261123T120000.123456Z-00000001.delivery.expired", "20261123T120001.123456Z-00000002.delivery.expired"}
	if diff := cmp.Diff(want, removed); diff != "" {
		t.Error(diff)
	}
	before := s.Stats()
	s.Close()
	s, _ = open(t, dir, 8*blockSize)
	if after := s.Stats(); before != after || after.AsideFiles != 2 || after.AsideBytes != 2*blockSize {
		t.Errorf("%+v before and %+v after a restart", before, after)
	}
	// The sequence goes on from what is set aside, so that no file takes the name of another.
	put(t, s, delivery("cakewalk", noon))
	if got := s.Entries()[0].sequence; got != 5 {
		t.Errorf("sequence %d", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 64<<20)
	failed := make(chan error, 64)
	for i := range cap(failed) {
		go func() { failed <- s.Put(delivery(fmt.Sprint(i%4), noon.Add(time.Duration(i)))) }()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if got := s.Entries(); len(got) != cap(failed) || !slices.IsSortedFunc(got, Entry.compare) {
		t.Errorf("%d entries", len(got))
	}
}

func FuzzDecode(f *testing.F) {
	d := delivery("cakewalk", noon)
	text, err := d.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte(format + "\n{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := decode(text)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		again, err := d.encode()
		if err != nil {
			t.Fatal(err)
		}
		same, err := decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, same); diff != "" {
			t.Error(diff)
		}
	})
}
