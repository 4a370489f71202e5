// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is the one that the pods of config and of the chart run as.
const user = "65532:65532"

func writeImage(tag name.Tag, o options) error {
	platforms := slices.Sorted(maps.Keys(o.programs))
	if len(platforms) == 1 {
		image, _, err := build(platforms[0], o)
		if err != nil {
			return err
		}
		return tarball.WriteToFile(o.out, tag, image)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		image, platform, err := build(p, o)
		if err != nil {
			return err
		}
		image = mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	annotated, ok := mutate.Annotations(index, o.labels()).(v1.ImageIndex)
	if !ok {
		return fmt.Errorf("the index with annotations is a %T", annotated)
	}
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// The first is what the specification calls the name; the second is what containerd reads.
	names := map[string]string{"org.opencontainers.image.ref.name": tag.TagStr(), "io.containerd.image.name": tag.Name()}
	if err := path.AppendIndex(annotated, layout.WithAnnotations(names)); err != nil {
		return err
	}
	return archive(dir, o.out)
}

// build makes the image of one platform.
func build(platform string, o options) (v1.Image, *v1.Platform, error) {
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, nil, err
	}
	entry := "/" + filepath.Base(o.programs[platform])
	content, err := layer(o.programs[platform], entry)
	if err != nil {
		return nil, nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, layerType(o))
	if err != nil {
		return nil, nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	config.Created = v1.Time{Time: o.created}
	config.Config = v1.Config{Entrypoint: []string{entry}, User: user, WorkingDir: "/", Labels: o.labels()}
	image, err = mutate.ConfigFile(image, config)
	return image, p, err
}

// layerType is Docker's for its own archive and the OCI's for an OCI archive.
func layerType(o options) tarball.LayerOption {
	if len(o.programs) == 1 {
		return tarball.WithMediaType(types.DockerLayer)
	}
	return tarball.WithMediaType(types.OCILayer)
}

// layer is a file system with nothing but the program and a folder for temporary files.
func layer(program, entry string) ([]byte, error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeReg, Name: entry[1:], Mode: 0o755, Size: int64(len(text))},
	} {
		h.ModTime = time.Unix(0, 0)
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

// archive puts a folder's files into a tar file, in the order of their names and without times.
func archive(dir, out string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}
