// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhookkeys reads the verification keys of a WebhookReceiver and verifies signatures with them.
//
// The receiver's spec fixes the algorithm and the header; nothing that the sender says chooses them.
package webhookkeys

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strings"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Why a delivery does not verify. None of them holds a value; they are for the owner's log, never for the sender.
var (
	// ErrNoKeys means that there is no key to verify with.
	ErrNoKeys = errors.New("the receiver has no keys")
	// ErrNoSignature means that the signature's header is missing or empty.
	ErrNoSignature = errors.New("the signature's header is missing")
	// ErrSeveralSignatures means that the signature's header is there more than once.
	ErrSeveralSignatures = errors.New("the signature's header is there more than once")
	// ErrMalformedSignature means that the header's value cannot be a signature of the receiver's algorithm.
	ErrMalformedSignature = errors.New("the signature is not one of the receiver's algorithm in hex or base64")
	// ErrMismatch means that no key made the signature for the body.
	ErrMismatch = errors.New("the signature is not of any of the receiver's keys")
)

// defaultHeader carries the signature where the spec names no header.
const defaultHeader = "X-SIGNATURE"

// Keys verify the deliveries of one receiver. The zero value verifies nothing. Keys are safe for concurrent use.
type Keys struct {
	header  string
	hash    hmacHash
	secrets [][]byte
	public  []*rsa.PublicKey
	fetched Fetched
}

// Len is how many keys there are.
func (k Keys) Len() int { return len(k.secrets) + len(k.public) }

// Verify returns nil if any key made the signature in the header for exactly these bytes of the body, else one of this
// package's errors. An HMAC (RFC 2104) may be written in hex or base64 (RFC 4648, either alphabet, padded or not), with or
// without the algorithm before it ("sha256="). An RSA signature is PKCS #1 v1.5 with SHA-256 (RFC 8017), in base64.
// Comparing takes the same time whatever the signature is.
func (k Keys) Verify(header http.Header, body []byte) error {
	if k.Len() == 0 {
		return ErrNoKeys
	}
	values := header.Values(k.header)
	switch {
	case len(values) > 1:
		return ErrSeveralSignatures
	case len(values) == 0 || strings.TrimSpace(values[0]) == "":
		return ErrNoSignature
	}
	signature := strings.TrimSpace(values[0])
	if k.public != nil {
		return k.verifyRSA(signature, body)
	}
	return k.verifyHMAC(signature, body)
}

func (k Keys) verifyHMAC(signature string, body []byte) error {
	got, ok := k.hash.decode(signature)
	if !ok {
		return ErrMalformedSignature
	}
	matched := false
	for _, secret := range k.secrets {
		mac := hmac.New(k.hash.new, secret)
		mac.Write(body)
		// Every secret is tried, so that the time does not tell which one it was.
		matched = hmac.Equal(mac.Sum(nil), got) || matched
	}
	if !matched {
		return ErrMismatch
	}
	return nil
}

func (k Keys) verifyRSA(signature string, body []byte) error {
	got, ok := decodeBase64(signature)
	if !ok {
		return ErrMalformedSignature
	}
	digest := sha256.Sum256(body)
	for _, key := range k.public {
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], got) == nil {
			return nil
		}
	}
	return ErrMismatch
}

// hmacHash is the hash of an HMAC: its constructor, its digest's size in bytes and its name before a signature.
type hmacHash struct {
	new    func() hash.Hash
	size   int
	prefix string
}

func hashOf(algorithm accessv1alpha1.HMACAlgorithm) hmacHash {
	switch algorithm {
	case accessv1alpha1.HMACSHA384:
		return hmacHash{new: sha512.New384, size: sha512.Size384, prefix: "sha384="}
	case accessv1alpha1.HMACSHA512:
		return hmacHash{new: sha512.New, size: sha512.Size, prefix: "sha512="}
	default:
		return hmacHash{new: sha256.New, size: sha256.Size, prefix: "sha256="}
	}
}

// decode reads a digest. Its length tells hex from base64: every text in hex is one in base64 of another length too.
func (h hmacHash) decode(signature string) ([]byte, bool) {
	if len(signature) > len(h.prefix) && strings.EqualFold(signature[:len(h.prefix)], h.prefix) {
		signature = signature[len(h.prefix):]
	}
	if len(signature) == hex.EncodedLen(h.size) {
		digest, err := hex.DecodeString(signature)
		return digest, err == nil
	}
	digest, ok := decodeBase64(signature)
	return digest, ok && len(digest) == h.size
}

func decodeBase64(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	decoded, err := encoding.Strict().DecodeString(text)
	return decoded, err == nil
}
