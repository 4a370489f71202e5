// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// FetchedSecret is the name of the Secret that holds, in each namespace, the public keys that were fetched for its
// WebhookReceivers: an entry for each, under the receiver's name. The name is fixed, so that rights can name it.
const FetchedSecret = "access-operator-cakewalk-keys"

// maxEntryBytes bounds an entry: the keys of the greatest number and size have half as much.
const maxEntryBytes = 96 << 10

// fetchedEntry is an entry of the Secret. It counts for the receiver and the URL that it was made for, and no other.
type fetchedEntry struct {
	ReceiverUID types.UID `json:"receiverUID"`
	URL         string    `json:"url"`
	FetchTime   time.Time `json:"fetchTime"`
	// Keys are in PEM, as SPKI.
	Keys string `json:"keys"`
}

// StoreFetched stores keys that were fetched at a time for a receiver from its spec.verification.rsa.fetchFrom, in place
// of those that were stored for it before. Keys that Load would refuse are an error.
func StoreFetched(ctx context.Context, c client.Client, receiver *accessv1alpha1.WebhookReceiver, keys []*rsa.PublicKey, at time.Time) error {
	if len(keys) == 0 || len(keys) > cakewalk.MaxPublicKeys {
		return fmt.Errorf("there are %d keys, where from 1 to %d can be stored", len(keys), cakewalk.MaxPublicKeys)
	}
	text := &bytes.Buffer{}
	for _, key := range keys {
		if err := cakewalk.CheckPublicKey(key); err != nil {
			return fmt.Errorf("a key %w", err)
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return fmt.Errorf("encoding a key: %w", err)
		}
		if err := pem.Encode(text, &pem.Block{Type: "PUBLIC KEY", Bytes: der}); err != nil {
			return fmt.Errorf("encoding a key: %w", err)
		}
	}
	entry, err := json.Marshal(fetchedEntry{
		ReceiverUID: receiver.UID, URL: receiver.Spec.Verification.RSA.FetchFrom, FetchTime: at.UTC(), Keys: text.String(),
	})
	if err != nil {
		return fmt.Errorf("encoding keys: %w", err)
	}
	secret := applycorev1.Secret(FetchedSecret, receiver.Namespace).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{receiver.Name: entry}).
		// The Secret goes with the last of its receivers.
		WithOwnerReferences(applymetav1.OwnerReference().
			WithAPIVersion(accessv1alpha1.GroupVersion.String()).WithKind("WebhookReceiver").
			WithName(receiver.Name).WithUID(receiver.UID))
	if err := c.Apply(ctx, secret, client.ForceOwnership, client.FieldOwner(fetchedOwner(receiver.Name))); err != nil {
		return fmt.Errorf("storing keys in Secret %s/%s: %w", receiver.Namespace, FetchedSecret, err)
	}
	return nil
}

// DropFetched takes the entry of a receiver that was deleted out of the Secret, where others keep that.
func DropFetched(ctx context.Context, reader client.Reader, c client.Client, receiver types.NamespacedName) error {
	existing := &corev1.Secret{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: receiver.Namespace, Name: FetchedSecret}, existing)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if _, ok := existing.Data[receiver.Name]; !ok {
		return nil
	}
	// Its owner names nothing any more. With the UID, a Secret that went away meanwhile does not come back.
	empty := applycorev1.Secret(FetchedSecret, receiver.Namespace).WithUID(existing.UID)
	err = c.Apply(ctx, empty, client.ForceOwnership, client.FieldOwner(fetchedOwner(receiver.Name)))
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// fetchedOwner owns a receiver's entry, in server-side apply: each has its own, so that none takes away another's.
func fetchedOwner(receiver string) string { return "access-operator-keys-" + receiver }

// loadFetched adds the keys that were fetched for a receiver.
func (l *loader) loadFetched(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) error {
	url := receiver.Spec.Verification.RSA.FetchFrom
	secret, err := l.secret(ctx, FetchedSecret)
	if err != nil {
		return err
	}
	entry, fault := fetchedEntry{}, "no keys were fetched from spec.verification.rsa.fetchFrom yet"
	if secret != nil {
		if text, ok := secret.Data[receiver.Name]; ok {
			entry, fault = parseEntry(text, receiver.UID, url)
		}
	}
	if fault != "" {
		l.problem(accessv1alpha1.ReasonKeysNotFetched, false, "%s", fault)
		return nil
	}
	pinned := len(l.keys.public)
	l.parsePEM([]byte(entry.Keys), fmt.Sprintf("entry %q of Secret %q", receiver.Name, FetchedSecret))
	l.keys.fetched = Fetched{Time: entry.FetchTime, Keys: l.keys.public[pinned:]}
	return nil
}

// parseEntry reads an entry, or says why it does not count.
func parseEntry(text []byte, uid types.UID, url string) (fetchedEntry, string) {
	entry := fetchedEntry{}
	switch {
	case len(text) > maxEntryBytes:
		return entry, fmt.Sprintf("the keys in Secret %q are not the operator's: they are longer than %d bytes", FetchedSecret, maxEntryBytes)
	case json.Unmarshal(text, &entry) != nil:
		return entry, fmt.Sprintf("the keys in Secret %q are not the operator's", FetchedSecret)
	case entry.ReceiverUID != uid:
		return entry, fmt.Sprintf("the keys in Secret %q were fetched for a receiver of the same name that was deleted", FetchedSecret)
	case entry.URL != url:
		return entry, "no keys were fetched from spec.verification.rsa.fetchFrom since it was changed"
	}
	return entry, ""
}

// Fetched are keys that were fetched for a receiver.
type Fetched struct {
	// Time is when they were fetched; zero where none were.
	Time time.Time
	// Keys are those of them that are good.
	Keys []*rsa.PublicKey
}

// Fetched returns those of the keys that were fetched.
func (k Keys) Fetched() Fetched { return k.fetched }

// Fingerprint is the SHA-256 hash of a public key (DER, SPKI) in base64 without padding, after "SHA256:", and its size.
func Fingerprint(key *rsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding a key: %w", err)
	}
	sum := sha256.Sum256(der)
	return fmt.Sprintf("SHA256:%s (%d bits)", base64.RawStdEncoding.EncodeToString(sum[:]), key.N.BitLen()), nil
}
