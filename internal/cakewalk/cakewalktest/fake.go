// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cakewalktest is a Cakewalk for tests and for trying the operator without a tenant: the Open API with tasks that
// have a life, and webhooks that it signs and delivers. It follows what Cakewalk documents, and can be made to fail.
package cakewalktest

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// Paths of the API below the server's root.
const (
	basePath = "/api/v1"
	keysPath = "/api/Keys"
)

// Options say what a Fake is like.
type Options struct {
	// Key and Secret are the credentials that the API takes. Default: random ones.
	Key, Secret string
	// ReadOnly makes the key a read-only one: writes are answered 403.
	ReadOnly bool
	// HMACSecret signs webhooks. Empty: they are signed with an RSA key.
	HMACSecret string
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
	// PageSize is how many items a page of a list has. Default: 100.
	PageSize int
	// MaxPerMinute is how many requests the API takes in a minute before it answers 429. Default: 1,000, as Cakewalk.
	// Negative: no limit.
	MaxPerMinute int
}

// Fake is a Cakewalk. It is an http.Handler; Start serves it. Its methods may be called from several goroutines.
type Fake struct {
	// URL is the base of the Open API, with its version, as spec.cakewalkAPI.url wants it. Set by Start.
	URL string
	// KeysURL is where the public keys are served. Set by Start.
	KeysURL string
	// Key and Secret are the credentials that the API takes at first.
	Key, Secret string

	options Options

	mu       sync.Mutex
	key      string
	secret   string
	readOnly bool
	tasks    map[string]*Task
	order    []string
	users    map[string]cakewalk.User
	apps     map[string]*workApp
	faults   []*Fault
	requests log
	signing  []*rsa.PrivateKey
	keysForm KeysForm
}

// New returns a Fake that is not served yet.
func New(o Options) *Fake {
	if o.Key == "" {
		o.Key = "key-" + rand.Text()
	}
	if o.Secret == "" {
		o.Secret = "secret-" + rand.Text()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageSize <= 0 {
		o.PageSize = 100
	}
	if o.MaxPerMinute == 0 {
		o.MaxPerMinute = 1000
	}
	return &Fake{
		Key: o.Key, Secret: o.Secret, options: o, key: o.Key, secret: o.Secret, readOnly: o.ReadOnly,
		tasks: map[string]*Task{}, users: map[string]cakewalk.User{}, apps: map[string]*workApp{},
	}
}

// Start returns a Fake that is served on loopback until the test ends.
func Start(tb testing.TB, o Options) *Fake {
	tb.Helper()
	f := New(o)
	server := httptest.NewServer(f)
	tb.Cleanup(server.Close)
	f.ServedAt(server.URL)
	return f
}

// ServedAt tells the Fake its address, for example http://127.0.0.1:8080, from which it makes URL and KeysURL.
func (f *Fake) ServedAt(root string) {
	f.URL, f.KeysURL = root+basePath, root+keysPath
}

// SetCredentials changes the credentials that the API takes from now on; the old ones are answered 401.
func (f *Fake) SetCredentials(key, secret string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key, f.secret = key, secret
}

// SetReadOnly makes the key a read-only one, or one that may write.
func (f *Fake) SetReadOnly(readOnly bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readOnly = readOnly
}

// AddUser makes a user known. It returns the id, which is made up where the user has none.
func (f *Fake) AddUser(user cakewalk.User) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addUser(&user)
}

func (f *Fake) addUser(user *cakewalk.User) string {
	if user == nil {
		return ""
	}
	if user.ID == "" {
		user.ID = uuid.NewString()
	}
	f.users[user.ID] = *user
	return user.ID
}

// RemoveUser makes a user unknown.
func (f *Fake) RemoveUser(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.users, id)
}

// workApp is an application and its permission levels.
type workApp struct {
	name   string
	levels []cakewalk.NamedObject
}

// AddWorkApp makes a work app and its permission levels known. It returns the app's id, which is made up where it has
// none. Levels that are known stay.
func (f *Fake) AddWorkApp(app cakewalk.NamedObject, levels ...cakewalk.NamedObject) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addWorkApp(&app, levels...)
}

func (f *Fake) addWorkApp(app *cakewalk.NamedObject, levels ...cakewalk.NamedObject) string {
	if app.ID == "" {
		app.ID = uuid.NewString()
	}
	known := f.apps[app.ID]
	if known == nil {
		known = &workApp{}
		f.apps[app.ID] = known
	}
	known.name = app.Name
	for _, level := range levels {
		known.addLevel(level)
	}
	return app.ID
}

func (a *workApp) addLevel(level cakewalk.NamedObject) {
	for i := range a.levels {
		if a.levels[i].ID == level.ID {
			a.levels[i] = level
			return
		}
	}
	a.levels = append(a.levels, level)
}

// now tells the time.
func (f *Fake) now() time.Time { return f.options.Now() }

// Transport returns a transport that calls the Fake without a network, for tests with a clock of their own.
func (f *Fake) Transport() http.RoundTripper { return inProcess{f} }

// UserID returns the id of the user with an email, or a new one where there is none.
func (f *Fake) UserID(email string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, u := range f.users {
		if u.Email == email {
			return id
		}
	}
	return uuid.NewString()
}

// WorkAppID returns the id of the work app with a name, or a new one where there is none.
func (f *Fake) WorkAppID(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.workAppID(name)
}

func (f *Fake) workAppID(name string) string {
	for id, a := range f.apps {
		if a.name == name {
			return id
		}
	}
	return uuid.NewString()
}

// LevelID returns the id of a work app's permission level, or a new one where there is none.
func (f *Fake) LevelID(app, level string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.apps[f.workAppID(app)]; a != nil {
		for _, l := range a.levels {
			if l.Name == level {
				return l.ID
			}
		}
	}
	return uuid.NewString()
}
