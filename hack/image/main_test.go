// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdxlib"
)

// built writes an image and its SPDX document for platforms. The program is this one, which has modules in it.
func built(t *testing.T, platforms ...string) options {
	t.Helper()
	dir := t.TempDir()
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	o := options{
		programs: map[string]string{}, tag: "registry.example.com/access-operator:v1.2.3", version: "1.2.3", revision: "abc",
		created: time.Unix(1700000000, 0).UTC(), out: filepath.Join(dir, "image.tar"), sbom: filepath.Join(dir, "sbom.spdx.json"),
		moduleCache: strings.TrimSpace(string(cache)),
	}
	for _, p := range platforms {
		file := filepath.Join(dir, filepath.Base(p), "manager")
		cmd := exec.Command("go", "build", "-trimpath", "-o", file, ".")
		cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0", "GOARCH="+filepath.Base(p))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		o.programs[p] = file
	}
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	return o
}

// holds checks one image.
func holds(t *testing.T, image v1.Image, program, architecture string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != architecture {
		t.Errorf("the image is for %s/%s", config.OS, config.Architecture)
	}
	want := v1.Config{
		Entrypoint: []string{"/manager"}, User: "65532:65532", WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":       "access-operator",
			"org.opencontainers.image.description": "Verifies Cakewalk's webhooks and provisions the access that they announce.",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.source":      "https://getcakewalk.io/access-operator",
			"org.opencontainers.image.version":     "1.2.3",
			"org.opencontainers.image.revision":    "abc",
		},
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Error(diff)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v)", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wanted, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.FileInfo().Mode().String()+" "+h.Name)
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "manager" && !bytes.Equal(text, wanted) {
			t.Error("the program is another one")
		}
	}
	if diff := cmp.Diff([]string{"dtrwxrwxrwx tmp/", "-rwxr-xr-x manager"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestAnImageOfOnePlatform(t *testing.T) {
	o := built(t, "linux/"+runtime.GOARCH)
	tag, err := name.NewTag(o.tag)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(o.out, &tag)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, image, o.programs["linux/"+runtime.GOARCH], runtime.GOARCH)
	first, err := os.ReadFile(o.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(o.out); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same program gave another image (%v)", err)
	}
}

func TestAnImageOfTwoPlatforms(t *testing.T) {
	o := built(t, "linux/amd64", "linux/arm64")
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", o.out, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	top, err := root.IndexManifest()
	if err != nil || len(top.Manifests) != 1 {
		t.Fatalf("%+v (%v)", top, err)
	}
	if got := top.Manifests[0].Annotations["io.containerd.image.name"]; got != o.tag {
		t.Errorf("it is named %q", got)
	}
	index, err := root.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest.Annotations["org.opencontainers.image.version"]; got != "1.2.3" {
		t.Errorf("the index has version %q", got)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, image, o.programs[m.Platform.String()], m.Platform.Architecture)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Error(diff)
	}
	if doc := document(t, o); len(doc.Files) != 2 {
		t.Errorf("the SPDX document has %d files", len(doc.Files))
	}
}

func document(t *testing.T, o options) *spdx.Document {
	t.Helper()
	f, err := os.Open(o.sbom)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := json.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDocumentNamesEveryModuleWithItsLicence(t *testing.T) {
	o := built(t, "linux/"+runtime.GOARCH)
	doc := document(t, o)
	if described, err := spdxlib.GetDescribedPackageIDs(doc); err != nil || len(described) != 1 || described[0] != "image" {
		t.Errorf("it describes %v (%v)", described, err)
	}
	out, err := exec.Command("go", "version", "-m", o.programs["linux/"+runtime.GOARCH]).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			want = append(want, "pkg:golang/"+fields[1]+"@"+fields[2])
		}
	}
	licenses := map[string]string{}
	for _, p := range doc.Packages[2:] {
		got = append(got, p.PackageExternalReferences[0].Locator)
		licenses[p.PackageName] = p.PackageLicenseDeclared
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 5 {
		t.Fatalf("the program has only the modules %v", want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]string{"golang.org/x/mod": "BSD-3-Clause", "github.com/google/go-containerregistry": "Apache-2.0"} {
		if licenses[path] != want {
			t.Errorf("%s has the licence %q", path, licenses[path])
		}
	}
	for path, license := range licenses {
		if license == noAssertion {
			t.Errorf("the licence of %s is not known", path)
		}
	}
}

func TestWithoutTheModuleCacheNoLicenceIsMadeUp(t *testing.T) {
	o := built(t, "linux/"+runtime.GOARCH)
	o.moduleCache = t.TempDir()
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	for _, p := range document(t, o).Packages[2:] {
		if p.PackageLicenseDeclared != noAssertion {
			t.Errorf("%s has the licence %q", p.PackageName, p.PackageLicenseDeclared)
		}
	}
}

func TestNothingIsWrittenWithoutAProgram(t *testing.T) {
	if err := run(options{tag: "a:b", out: filepath.Join(t.TempDir(), "x")}); err == nil {
		t.Error("it is")
	}
}
