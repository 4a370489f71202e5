// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const keysURL = "https://open-api.example.com/api/Keys"

func fetchingReceiver(name string) *accessv1alpha1.WebhookReceiver {
	receiver := rsaReceiver(fromConfigMap())
	receiver.Name, receiver.UID = name, types.UID("uid-of-"+name)
	receiver.Spec.Verification.RSA = &accessv1alpha1.RSAVerification{FetchFrom: keysURL}
	return receiver
}

func publicKey(tb testing.TB, name string) *rsa.PublicKey {
	tb.Helper()
	block, _ := pem.Decode(file(tb, name))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		tb.Fatalf("%s is a %T", name, key)
	}
	return public
}

func TestFetchedKeysAreStoredAndLoaded(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	a, b := fetchingReceiver("a"), fetchingReceiver("b")
	key := publicKey(t, "rsa-2048-spki.pem")
	at := time.Date(2026, 11, 23, 7, 44, 3, 0, time.UTC)
	for _, receiver := range []*accessv1alpha1.WebhookReceiver{a, b} {
		if err := StoreFetched(t.Context(), c, receiver, []*rsa.PublicKey{key}, at); err != nil {
			t.Fatal(err)
		}
	}
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "tenant", Name: FetchedSecret}, secret); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, slices.Sorted(maps.Keys(secret.Data))); diff != "" || secret.Type != corev1.SecretTypeOpaque || len(secret.OwnerReferences) != 2 {
		t.Errorf("%s %s %v", diff, secret.Type, secret.OwnerReferences)
	}
	keys, problems, err := Load(t.Context(), c, a)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if f := keys.Fetched(); keys.Len() != 1 || !f.Time.Equal(at) || len(f.Keys) != 1 || !f.Keys[0].Equal(key) {
		t.Errorf("%d keys, %+v", keys.Len(), f)
	}

	if err := DropFetched(t.Context(), c, c, types.NamespacedName{Namespace: "tenant", Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "tenant", Name: FetchedSecret}, secret); err != nil {
		t.Fatal(err)
	}
	if secret.Data["a"] != nil || secret.Data["b"] == nil || len(secret.OwnerReferences) != 1 {
		t.Errorf("%v %v", slices.Sorted(maps.Keys(secret.Data)), secret.OwnerReferences)
	}
	if err := DropFetched(t.Context(), c, c, types.NamespacedName{Namespace: "elsewhere", Name: "a"}); err != nil {
		t.Error("where there is no Secret: ", err)
	}
}

func TestKeysThatAreRefusedAreNotStored(t *testing.T) {
	small := publicKey(t, "rsa-1024-spki.pem")
	good := publicKey(t, "rsa-2048-spki.pem")
	for name, tc := range map[string]struct {
		keys []*rsa.PublicKey
		want string
	}{
		"none":        {nil, "there are 0 keys"},
		"too many":    {slices.Repeat([]*rsa.PublicKey{good}, 17), "there are 17 keys"},
		"a small one": {[]*rsa.PublicKey{good, small}, "less than 2048 bits"},
	} {
		if err := StoreFetched(t.Context(), nil, fetchingReceiver("a"), tc.keys, time.Now()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadFetched(t *testing.T) {
	text := string(file(t, "rsa-2048-spki.pem"))
	entry := func(change func(map[string]any)) []byte {
		e := map[string]any{"receiverUID": "uid-of-a", "url": keysURL, "fetchTime": "2026-11-23T07:44:03Z", "keys": text}
		if change != nil {
			change(e)
		}
		encoded, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	tests := map[string]struct {
		secret  map[string][]byte
		pinned  bool
		want    int
		fetched int
		reason  string
		message string
	}{
		"an entry":                   {secret: map[string][]byte{"a": entry(nil)}, want: 1, fetched: 1},
		"with pinned keys":           {secret: map[string][]byte{"a": entry(nil)}, pinned: true, want: 2, fetched: 1},
		"pinned keys before a fetch": {pinned: true, want: 1, reason: accessv1alpha1.ReasonKeysNotFetched, message: "no keys were fetched"},
		"no Secret":                  {reason: accessv1alpha1.ReasonKeysNotFetched, message: "no keys were fetched"},
		"another receiver's":         {secret: map[string][]byte{"b": entry(nil)}, reason: accessv1alpha1.ReasonKeysNotFetched, message: "no keys were fetched"},
		"of a deleted receiver": {
			secret: map[string][]byte{"a": entry(func(e map[string]any) { e["receiverUID"] = "older" })},
			reason: accessv1alpha1.ReasonKeysNotFetched, message: "deleted",
		},
		"from another URL": {
			secret: map[string][]byte{"a": entry(func(e map[string]any) { e["url"] = "https://example.com" })},
			reason: accessv1alpha1.ReasonKeysNotFetched, message: "since it was changed",
		},
		"no JSON":  {secret: map[string][]byte{"a": []byte("x")}, reason: accessv1alpha1.ReasonKeysNotFetched, message: "not the operator's"},
		"too long": {secret: map[string][]byte{"a": []byte(strings.Repeat(" ", maxEntryBytes) + string(entry(nil)))}, reason: accessv1alpha1.ReasonKeysNotFetched, message: "longer than"},
		"a small key": {
			secret: map[string][]byte{"a": entry(func(e map[string]any) { e["keys"] = string(file(t, "rsa-1024-spki.pem")) })},
			reason: accessv1alpha1.ReasonInvalidKey, message: "less than 2048 bits",
		},
		"no keys in it": {
			secret: map[string][]byte{"a": entry(func(e map[string]any) { e["keys"] = "" })},
			reason: accessv1alpha1.ReasonInvalidKey, message: "no public key",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			receiver := fetchingReceiver("a")
			o := objects{secrets: map[string]map[string][]byte{}, configMaps: map[string]map[string]string{"webhook": {"keys": string(file(t, "rsa-3072-pkcs1.pem"))}}}
			if tc.secret != nil {
				o.secrets[FetchedSecret] = tc.secret
			}
			if tc.pinned {
				source := fromConfigMap()
				receiver.Spec.Verification.RSA.Keys = &source
			}
			keys, problems, err := Load(t.Context(), o, receiver)
			if err != nil {
				t.Fatal(err)
			}
			if keys.Len() != tc.want || len(keys.Fetched().Keys) != tc.fetched {
				t.Errorf("%d keys, %d of them fetched, %v", keys.Len(), len(keys.Fetched().Keys), problems)
			}
			if tc.reason == "" {
				if len(problems) > 0 {
					t.Error(problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Reason != tc.reason || !strings.Contains(problems[0].Message, tc.message) {
				t.Errorf("%+v", problems)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	// openssl pkey -pubin -in rsa-2048-spki.pem -outform DER | openssl dgst -sha256 -binary | base64
	const want = "SHA256:AyVoAaE0Fq0ii85YGKCEBIU16LpTC/rCfBJr8KYiVDQ (2048 bits)"
	if got, err := Fingerprint(publicKey(t, "rsa-2048-spki.pem")); got != want || err != nil {
		t.Error(got, err)
	}
}
