// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// What is kept of an application's levels must not have a task of a level that was made since end as one that Cakewalk
// does not know.
func TestALevelThatWasMadeSinceTheOthersWereReadIsFound(t *testing.T) {
	fake := cakewalktest.Start(t, cakewalktest.Options{})
	api, err := cakewalk.NewClient(cakewalk.ClientOptions{BaseURL: fake.URL, Key: fake.Key, Secret: fake.Secret})
	if err != nil {
		t.Fatal(err)
	}
	app := fake.AddWorkApp(cakewalk.NamedObject{ID: appID, Name: "Chat"}, cakewalk.NamedObject{ID: levelID, Name: "Editor"})
	facts := newCakewalkFacts()
	read := func(level string) (*cakewalk.RequestMetadata, error) {
		return facts.target(t.Context(), api, &cakewalk.TaskRequest{WorkAppID: app, PermissionLevelID: level})
	}
	if got, err := read(levelID); err != nil || got.PermissionLevel.Name != "Editor" {
		t.Fatal(got, err)
	}
	const another = "0c2f7a44-5d7a-4e0b-8f3b-9a3b6b1f2f01"
	if _, ok := errors.AsType[*unreadableError](func() error { _, err := read(another); return err }()); !ok {
		t.Error("a level that Cakewalk does not have is read")
	}
	fake.AddWorkApp(cakewalk.NamedObject{ID: appID, Name: "Chat"}, cakewalk.NamedObject{ID: another, Name: "Owner"})
	if got, err := read(another); err != nil || got.PermissionLevel.Name != "Owner" {
		t.Error(got, err)
	}
}
