// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command image writes an image with one static program in it, from nothing, and says in an SPDX document what the
// program is made of. For one platform the image is an archive that `docker load`, `podman load`, `ctr images import` and
// `kind load image-archive` take; for several it is an OCI archive with an index. The same programs give the same files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

const (
	title       = "access-operator"
	description = "Verifies Cakewalk's webhooks and provisions the access that they announce."
	license     = "Apache-2.0"
	source      = "https://getcakewalk.io/access-operator"
)

// options say what to write.
type options struct {
	// programs are the files by platform, such as linux/arm64.
	programs map[string]string
	// tag is the name and tag of the image.
	tag string
	// version and revision are what the program was built from. created is when that was made: the image is as old as its source.
	version, revision string
	created           time.Time
	// out and sbom are the files to write.
	out, sbom string
	// moduleCache is Go's module cache, where the licences are.
	moduleCache string
}

func main() {
	o := options{programs: map[string]string{}}
	flag.Func("program", "PLATFORM=FILE, a static program and its platform; once for each platform", func(s string) error {
		platform, file, ok := strings.Cut(s, "=")
		if !ok || o.programs[platform] != "" {
			return errors.New("it is not PLATFORM=FILE, or the platform is there twice")
		}
		o.programs[platform] = file
		return nil
	})
	flag.StringVar(&o.tag, "tag", "", "name and tag of the image")
	flag.StringVar(&o.version, "version", "", "version of the program")
	flag.StringVar(&o.revision, "revision", "", "commit that the program was built from")
	created := flag.Int64("created", 0, "when that commit was made, in seconds since 1970")
	flag.StringVar(&o.out, "out", "", "the archive to write")
	flag.StringVar(&o.sbom, "sbom", "", "the SPDX document to write; empty: none")
	flag.StringVar(&o.moduleCache, "modcache", "", "Go's module cache")
	flag.Parse()
	o.created = time.Unix(*created, 0).UTC()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if len(o.programs) == 0 {
		return errors.New("no program is given")
	}
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return err
	}
	if err := writeImage(tag, o); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	if o.sbom == "" {
		return nil
	}
	if err := writeSBOM(o); err != nil {
		return fmt.Errorf("writing the SPDX document: %w", err)
	}
	return nil
}

// labels are on the image's configuration and, with several platforms, on its index.
func (o options) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       title,
		"org.opencontainers.image.description": description,
		"org.opencontainers.image.licenses":    license,
		"org.opencontainers.image.source":      source,
		"org.opencontainers.image.version":     o.version,
		"org.opencontainers.image.revision":    o.revision,
	}
}
