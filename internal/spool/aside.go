// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Reason is why a delivery is not stored any more, in one word.
type Reason string

// Reasons.
const (
	// ReasonDamaged: the file is not what was written.
	ReasonDamaged Reason = "damaged"
	// ReasonExpired: the delivery waited longer than it may.
	ReasonExpired Reason = "expired"
	// ReasonReceiverGone: its WebhookReceiver was deleted, or deleted and made again.
	ReasonReceiverGone Reason = "receiver-gone"
	// ReasonInvalid: some of its events are malformed, or refused as invalid by the API server. The others are stored.
	ReasonInvalid Reason = "invalid"
)

// SetAside reports what was set aside.
type SetAside struct {
	// Entry is what was set aside. The receiver's name and namespace of a damaged file are empty when it was found so.
	Entry Entry
	// Reason is why.
	Reason Reason
	// Removed are the names of the files that were removed to make room: the oldest that were set aside.
	Removed []string
}

// aside is the folder of what is set aside.
type aside struct {
	dir string
	max int64
	// files are the oldest first.
	files []asideFile
	bytes int64
}

type asideFile struct {
	name string
	size int64
}

func (a *aside) load() error {
	found, err := os.ReadDir(a.dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		info, err := f.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			a.add(asideFile{name: f.Name(), size: sizeOf(info.Size())})
		}
	}
	return nil
}

func (a *aside) add(f asideFile) {
	a.files = append(a.files, f)
	a.bytes += f.size
	slices.SortFunc(a.files, func(x, y asideFile) int { return strings.Compare(x.name, y.name) })
}

// lastSequence is the highest sequence among the files.
func (a *aside) lastSequence() (last uint64) {
	for _, f := range a.files {
		if name, _, cut := strings.Cut(f.name, suffix); cut {
			_, sequence, _ := parseName(name + suffix)
			last = max(last, sequence)
		}
	}
	return last
}

// move moves a file here, and removes the oldest others while there are too many bytes.
func (a *aside) move(from string, e Entry, reason Reason) (SetAside, error) {
	report := SetAside{Entry: e, Reason: reason}
	f := asideFile{name: e.Name + "." + string(reason)}
	old, now := filepath.Join(from, e.Name), filepath.Join(a.dir, f.name)
	info, err := os.Lstat(old)
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody took it away.
		return report, nil
	}
	if err != nil {
		return report, err
	}
	f.size = sizeOf(info.Size())
	if err := os.Rename(old, now); err != nil {
		return report, err
	}
	a.add(f)
	for a.bytes > a.max && len(a.files) > 1 {
		oldest := a.files[0]
		if oldest.name == f.name {
			oldest = a.files[1]
		}
		if err := os.Remove(filepath.Join(a.dir, oldest.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return report, err
		}
		a.files = slices.DeleteFunc(a.files, func(x asideFile) bool { return x.name == oldest.name })
		a.bytes -= oldest.size
		report.Removed = append(report.Removed, oldest.name)
	}
	return report, errors.Join(syncFolder(a.dir), syncFolder(from))
}
