// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// timeFormat is the time of arrival in a file's name. It sorts.
const timeFormat = "20060102T150405.000000Z"

func makeName(arrival time.Time, sequence uint64) string {
	return fmt.Sprintf("%s-%08d%s", arrival.UTC().Format(timeFormat), sequence, suffix)
}

func parseName(name string) (arrival time.Time, sequence uint64, ok bool) {
	at, number, _ := strings.Cut(strings.TrimSuffix(name, suffix), "-")
	arrival, errTime := time.Parse(timeFormat, at)
	sequence, errNumber := strconv.ParseUint(number, 10, 64)
	return arrival, sequence, errTime == nil && errNumber == nil
}

// write writes a file so that it is there whole or not at all, and on the disk when write returns nil.
func write(dir, name string, text []byte) (err error) {
	temporary := filepath.Join(dir, "."+name)
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode) //nolint:gosec // the folder is the flag's, the name this package's
	if err != nil {
		return err
	}
	path := temporary
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return err
	}
	path = filepath.Join(dir, name)
	return syncFolder(dir)
}

// syncFolder has the names in a folder written to the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the folder is the flag's
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ErrInUse says that another process uses the folder.
var ErrInUse = errors.New("another process uses the folder")

// lockFile locks a file until it is closed or the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode) //nolint:gosec // the folder is the flag's
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	return f, nil
}
