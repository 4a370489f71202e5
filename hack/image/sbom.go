// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/sha1" // SPDX 2.3 wants SHA-1 of files, beside SHA-256
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/licensecheck"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"golang.org/x/mod/module"
)

// noAssertion is SPDX's word for what is not known.
const noAssertion = "NOASSERTION"

// writeSBOM writes what Go's linker put into the programs about the modules that they are made of.
func writeSBOM(o options) error {
	modules := map[string]debug.Module{}
	var files []*spdx.File
	var toolchain, main string
	for _, platform := range slices.Sorted(maps.Keys(o.programs)) {
		info, err := buildinfo.ReadFile(o.programs[platform])
		if err != nil {
			return err
		}
		toolchain, main = strings.TrimPrefix(info.GoVersion, "go"), info.Main.Path
		for _, d := range info.Deps {
			m := *d
			if d.Replace != nil {
				m = *d.Replace
			}
			modules[m.Path+"@"+m.Version] = m
		}
		file, err := program(platform, o.programs[platform])
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	root := golang("image", main, o.version, license)
	root.PackageName, root.PrimaryPackagePurpose = title, "CONTAINER"
	root.PackageSummary, root.PackageHomePage = description, source
	root.PackageDownloadLocation = noAssertion
	root.FilesAnalyzed = false

	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      title + "-" + o.version,
		DocumentNamespace: source + "/spdx/" + o.version + "-" + files[0].Checksums[1].Value,
		CreationInfo: &spdx.CreationInfo{
			Created:  o.created.Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: title + "-image"}, {CreatorType: "Organization", Creator: "The access-operator Authors"}},
		},
		Packages: []*spdx.Package{root, golang("std", "std", toolchain, "BSD-3-Clause")},
		Files:    files,
	}
	for _, m := range slices.SortedFunc(maps.Values(modules), func(a, b debug.Module) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Version, b.Version))
	}) {
		found, err := licenseOf(o.moduleCache, m)
		if err != nil {
			return err
		}
		p := golang("module-"+m.Path+"-"+m.Version, m.Path, m.Version, found)
		if escaped, err := module.EscapePath(m.Path); err == nil {
			p.PackageDownloadLocation = fmt.Sprintf("https://proxy.golang.org/%s/@v/%s.zip", escaped, m.Version)
		}
		doc.Packages = append(doc.Packages, p)
	}
	relate := func(a common.ElementID, kind string, b common.ElementID) {
		doc.Relationships = append(doc.Relationships, &spdx.Relationship{
			RefA: common.MakeDocElementID("", string(a)), RefB: common.MakeDocElementID("", string(b)), Relationship: kind,
		})
	}
	relate(doc.SPDXIdentifier, common.TypeRelationshipDescribe, root.PackageSPDXIdentifier)
	for _, f := range files {
		relate(root.PackageSPDXIdentifier, common.TypeRelationshipContains, f.FileSPDXIdentifier)
	}
	for _, p := range doc.Packages[1:] {
		relate(root.PackageSPDXIdentifier, common.TypeRelationshipDependsOn, p.PackageSPDXIdentifier)
	}
	f, err := os.Create(o.sbom)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := json.Write(doc, f, json.Indent("  ")); err != nil {
		return err
	}
	return f.Close()
}

// program describes the program of a platform.
func program(platform, path string) (*spdx.File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	one, two := sha1.Sum(text), sha256.Sum256(text)
	return &spdx.File{
		FileName:           "./" + platform + "/" + filepath.Base(path),
		FileSPDXIdentifier: identifier("program-" + platform),
		FileTypes:          []string{"BINARY"},
		Checksums: []common.Checksum{
			{Algorithm: common.SHA1, Value: hex.EncodeToString(one[:])},
			{Algorithm: common.SHA256, Value: hex.EncodeToString(two[:])},
		},
		LicenseConcluded: license, LicenseInfoInFiles: []string{noAssertion}, FileCopyrightText: noAssertion,
	}, nil
}

// golang describes a package by its package URL.
func golang(id, path, version, license string) *spdx.Package {
	return &spdx.Package{
		PackageName: path, PackageSPDXIdentifier: identifier(id), PackageVersion: version,
		PackageDownloadLocation: noAssertion, PackageSupplier: &common.Supplier{Supplier: noAssertion},
		PackageLicenseConcluded: license, PackageLicenseDeclared: license, PackageCopyrightText: noAssertion,
		IsFilesAnalyzedTagPresent: true,
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL,
			Locator: "pkg:golang/" + path + "@" + version,
		}},
	}
}

var notInIdentifiers = regexp.MustCompile(`[^A-Za-z0-9.-]`)

func identifier(s string) common.ElementID {
	return common.ElementID(notInIdentifiers.ReplaceAllString(s, "-"))
}

// enough of a licence file's words must be a known licence's: the rest are names and years.
const enough = 75

// licenseOf reads a module's licences where the module cache has them.
func licenseOf(cache string, m debug.Module) (string, error) {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(cache, path+"@"+version))
	if err != nil {
		return noAssertion, nil //nolint:nilerr // a module that is not in the cache, such as a vendored one
	}
	found := map[string]bool{}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if !e.Type().IsRegular() || strings.HasSuffix(name, ".GO") || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(cache, path+"@"+version, e.Name()))
		if err != nil {
			return "", err
		}
		coverage := licensecheck.Scan(text)
		if coverage.Percent < enough {
			return noAssertion, nil
		}
		for _, match := range coverage.Match {
			found[match.ID] = true
		}
	}
	if len(found) == 0 {
		return noAssertion, nil
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), " AND "), nil
}
