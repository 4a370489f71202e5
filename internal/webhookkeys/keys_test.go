// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

const (
	oldSecret = "old-secret-of-16-bytes"
	newSecret = "new-secret-of-16-bytes"
)

func file(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// golden returns the signature of batch.json that openssl made.
func golden(tb testing.TB, algorithm, key, encoding string) string {
	tb.Helper()
	for line := range strings.Lines(string(file(tb, "signatures.txt"))) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == algorithm && fields[1] == key && fields[2] == encoding {
			return fields[3]
		}
	}
	tb.Fatalf("no signature for %s %s %s", algorithm, key, encoding)
	return ""
}

// objects is a reader that knows these Secrets and ConfigMaps of the namespace "tenant", and fails with err where it is set.
type objects struct {
	client.Reader
	secrets    map[string]map[string][]byte
	configMaps map[string]map[string]string
	err        error
}

func (o objects) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if o.err != nil {
		return o.err
	}
	if key.Namespace == "tenant" {
		switch object := object.(type) {
		case *corev1.Secret:
			if data, ok := o.secrets[key.Name]; ok {
				object.Data = data
				return nil
			}
		case *corev1.ConfigMap:
			if data, ok := o.configMaps[key.Name]; ok {
				object.Data = data
				return nil
			}
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "objects"}, key.Name)
}

func hmacReceiver(algorithm accessv1alpha1.HMACAlgorithm, keys ...string) *accessv1alpha1.WebhookReceiver {
	spec := &accessv1alpha1.HMACVerification{Header: "X-SIGNATURE", Algorithm: algorithm}
	for _, key := range keys {
		spec.SecretRefs = append(spec.SecretRefs, accessv1alpha1.SecretKeyReference{Name: "webhook", Key: key})
	}
	return &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "cakewalk"},
		Spec:       accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: spec}},
	}
}

func rsaReceiver(keys accessv1alpha1.KeySource) *accessv1alpha1.WebhookReceiver {
	return &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "cakewalk"},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{
			RSA: &accessv1alpha1.RSAVerification{Keys: &keys},
		}},
	}
}

func fromConfigMap() accessv1alpha1.KeySource {
	return accessv1alpha1.KeySource{ConfigMapRef: &accessv1alpha1.ConfigMapKeyReference{Name: "webhook", Key: "keys"}}
}

func hmacKeys(tb testing.TB, algorithm accessv1alpha1.HMACAlgorithm, secrets ...string) Keys {
	tb.Helper()
	data := map[string][]byte{}
	var names []string
	for _, secret := range secrets {
		data[secret] = []byte(secret)
		names = append(names, secret)
	}
	keys, problems, err := Load(tb.Context(), objects{secrets: map[string]map[string][]byte{"webhook": data}}, hmacReceiver(algorithm, names...))
	if err != nil || len(problems) > 0 {
		tb.Fatal(err, problems)
	}
	return keys
}

func rsaKeys(tb testing.TB, text []byte) (Keys, []Problem) {
	tb.Helper()
	keys, problems, err := Load(tb.Context(), objects{configMaps: map[string]map[string]string{"webhook": {"keys": string(text)}}}, rsaReceiver(fromConfigMap()))
	if err != nil {
		tb.Fatal(err)
	}
	return keys, problems
}

func TestVerifyHMAC(t *testing.T) {
	body := file(t, "batch.json")
	changed := bytes.Replace(body, []byte("Editor"), []byte("editor"), 1)
	sign := func(algorithm, key, encoding string) []string { return []string{golden(t, algorithm, key, encoding)} }
	hex256 := golden(t, "SHA256", oldSecret, "hex")
	b64 := golden(t, "SHA256", oldSecret, "base64")
	raw, err := hex.DecodeString(hex256)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		algorithm  accessv1alpha1.HMACAlgorithm
		secrets    []string
		body       []byte
		signatures []string
		want       error
	}{
		"SHA-256 in hex":                               {signatures: sign("SHA256", oldSecret, "hex")},
		"SHA-256 in base64":                            {signatures: sign("SHA256", oldSecret, "base64")},
		"SHA-384 in hex":                               {algorithm: "SHA384", signatures: sign("SHA384", oldSecret, "hex")},
		"SHA-384 in base64":                            {algorithm: "SHA384", signatures: sign("SHA384", oldSecret, "base64")},
		"SHA-512 in hex":                               {algorithm: "SHA512", signatures: sign("SHA512", oldSecret, "hex")},
		"SHA-512 in base64":                            {algorithm: "SHA512", signatures: sign("SHA512", oldSecret, "base64")},
		"hex in upper case":                            {signatures: []string{strings.ToUpper(hex256)}},
		"hex with the algorithm before it":             {signatures: []string{"sha256=" + hex256}},
		"the algorithm in upper case":                  {signatures: []string{"SHA256=" + hex256}},
		"base64 with the algorithm before it":          {signatures: []string{"sha256=" + b64}},
		"base64 without padding":                       {signatures: []string{strings.TrimRight(b64, "=")}},
		"base64 in the alphabet for URLs":              {signatures: []string{base64.URLEncoding.EncodeToString(raw)}},
		"base64 for URLs without padding":              {signatures: []string{base64.RawURLEncoding.EncodeToString(raw)}},
		"white space around it":                        {signatures: []string{" \t" + hex256 + " "}},
		"the old secret while both are valid":          {secrets: []string{newSecret, oldSecret}, signatures: sign("SHA256", oldSecret, "hex")},
		"the new secret while both are valid":          {secrets: []string{oldSecret, newSecret}, signatures: sign("SHA256", newSecret, "hex")},
		"the old secret after it was taken out":        {secrets: []string{newSecret}, signatures: sign("SHA256", oldSecret, "hex"), want: ErrMismatch},
		"another secret":                               {signatures: sign("SHA256", newSecret, "hex"), want: ErrMismatch},
		"a body changed by one byte":                   {body: changed, signatures: sign("SHA256", oldSecret, "hex"), want: ErrMismatch},
		"a body with a byte more":                      {body: append(bytes.Clone(body), '\n'), signatures: sign("SHA256", oldSecret, "hex"), want: ErrMismatch},
		"an empty body":                                {body: []byte{}, signatures: sign("SHA256", oldSecret, "hex"), want: ErrMismatch},
		"SHA-1":                                        {signatures: sign("SHA1", oldSecret, "hex"), want: ErrMalformedSignature},
		"SHA-1 that says so":                           {signatures: []string{"sha1=" + golden(t, "SHA1", oldSecret, "hex")}, want: ErrMalformedSignature},
		"SHA-512 under a SHA-256 receiver":             {signatures: []string{"sha512=" + golden(t, "SHA512", oldSecret, "hex")}, want: ErrMalformedSignature},
		"SHA-256 under a SHA-512 receiver":             {algorithm: "SHA512", signatures: sign("SHA256", oldSecret, "hex"), want: ErrMalformedSignature},
		"SHA-256 that says to be SHA-1":                {signatures: []string{"sha1=" + hex256}, want: ErrMalformedSignature},
		"the algorithm twice":                          {signatures: []string{"sha256=sha256=" + hex256}, want: ErrMalformedSignature},
		"none":                                         {want: ErrNoSignature},
		"an empty one":                                 {signatures: []string{""}, want: ErrNoSignature},
		"only white space":                             {signatures: []string{"  "}, want: ErrNoSignature},
		"only the algorithm":                           {signatures: []string{"sha256="}, want: ErrMalformedSignature},
		"two, a good one first":                        {signatures: []string{hex256, "x"}, want: ErrSeveralSignatures},
		"two in one value":                             {signatures: []string{hex256 + "," + hex256}, want: ErrMalformedSignature},
		"the good one and more":                        {signatures: []string{hex256 + "00"}, want: ErrMalformedSignature},
		"the good one but its last digit":              {signatures: []string{hex256[:63]}, want: ErrMalformedSignature},
		"hex with a letter that is none":               {signatures: []string{"g" + hex256[1:]}, want: ErrMalformedSignature},
		"nonsense":                                     {signatures: []string{"☃"}, want: ErrMalformedSignature},
		"a kilobyte of padding":                        {signatures: []string{strings.Repeat("=", 1024)}, want: ErrMalformedSignature},
		"64 characters of base64 under SHA-384 are 48": {algorithm: "SHA384", signatures: []string{strings.Repeat("a", 64)}, want: ErrMismatch},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.algorithm == "" {
				tc.algorithm = accessv1alpha1.HMACSHA256
			}
			if tc.secrets == nil {
				tc.secrets = []string{oldSecret}
			}
			if tc.body == nil {
				tc.body = body
			}
			header := http.Header{}
			for _, signature := range tc.signatures {
				header.Add("x-signature", signature)
			}
			if err := hmacKeys(t, tc.algorithm, tc.secrets...).Verify(header, tc.body); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestVerifyRSA(t *testing.T) {
	body := file(t, "batch.json")
	both := append(file(t, "rsa-2048-spki.pem"), file(t, "rsa-3072-pkcs1.pem")...)
	first := golden(t, "RSA", "rsa-2048-spki.pem", "base64")
	raw, err := base64.StdEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		keys      []byte
		body      []byte
		signature string
		want      error
	}{
		"the first of two keys":          {keys: both, signature: first},
		"the second of two keys":         {keys: both, signature: golden(t, "RSA", "rsa-3072-pkcs1.pem", "base64")},
		"base64 without padding":         {keys: both, signature: strings.TrimRight(first, "=")},
		"base64 for URLs":                {keys: both, signature: base64.URLEncoding.EncodeToString(raw)},
		"a key that is not listed":       {keys: file(t, "rsa-3072-pkcs1.pem"), signature: first, want: ErrMismatch},
		"another body":                   {keys: both, body: []byte("[]"), signature: first, want: ErrMismatch},
		"SHA-1":                          {keys: both, signature: golden(t, "RSA-SHA1", "rsa-2048-spki.pem", "base64"), want: ErrMismatch},
		"hex":                            {keys: both, signature: hex.EncodeToString(raw), want: ErrMismatch},
		"nonsense":                       {keys: both, signature: "!", want: ErrMalformedSignature},
		"none":                           {keys: both, want: ErrNoSignature},
		"a good one of a key too small":  {keys: file(t, "rsa-1024-spki.pem"), signature: golden(t, "RSA-1024", "rsa-1024-spki.pem", "base64"), want: ErrNoKeys},
		"an HMAC with the key as secret": {keys: both, signature: hex.EncodeToString(mac(both, body)), want: ErrMismatch},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			keys, _ := rsaKeys(t, tc.keys)
			if tc.body == nil {
				tc.body = body
			}
			header := http.Header{}
			header.Set("X-SIGNATURE", tc.signature)
			if err := keys.Verify(header, tc.body); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestZeroKeysVerifyNothing(t *testing.T) {
	if err := (Keys{}).Verify(http.Header{}, nil); !errors.Is(err, ErrNoKeys) {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	notFound, invalid := accessv1alpha1.ReasonKeyNotFound, accessv1alpha1.ReasonInvalidKey
	readers := objects{
		secrets: map[string]map[string][]byte{"webhook": {
			"good": []byte(oldSecret), "empty": {}, "short": []byte("short"), "newline": []byte(oldSecret + "\n"),
			"keys": file(t, "rsa-2048-spki.pem"),
		}},
		configMaps: map[string]map[string]string{"webhook": {"keys": string(file(t, "rsa-3072-pkcs1.pem"))}},
	}
	tests := map[string]struct {
		receiver *accessv1alpha1.WebhookReceiver
		want     int
		wantErr  []Problem
	}{
		"a secret":                       {receiver: hmacReceiver("SHA256", "good"), want: 1},
		"a public key in a Secret":       {receiver: rsaReceiver(accessv1alpha1.KeySource{SecretRef: &accessv1alpha1.SecretKeyReference{Name: "webhook", Key: "keys"}}), want: 1},
		"a public key in a ConfigMap":    {receiver: rsaReceiver(fromConfigMap()), want: 1},
		"a good secret beside a missing": {receiver: hmacReceiver("SHA256", "missing", "good"), want: 1, wantErr: []Problem{{notFound, false, `Secret "webhook" has no key "missing"`}}},
		"an empty secret":                {receiver: hmacReceiver("SHA256", "empty"), wantErr: []Problem{{invalid, false, `key "empty" of Secret "webhook" is empty`}}},
		"a short secret is used":         {receiver: hmacReceiver("SHA256", "short"), want: 1, wantErr: []Problem{{invalid, true, `key "short" of Secret "webhook" is shorter than 16 bytes`}}},
		"a secret with a line break is used": {
			receiver: hmacReceiver("SHA256", "newline"), want: 1,
			wantErr: []Problem{{invalid, true, `key "newline" of Secret "webhook" ends with a line break, which counts as a part of it`}},
		},
		"a Secret that does not exist": {
			receiver: rsaReceiver(accessv1alpha1.KeySource{SecretRef: &accessv1alpha1.SecretKeyReference{Name: "other", Key: "keys"}}),
			wantErr:  []Problem{{notFound, false, `Secret "other" does not exist`}},
		},
		"a ConfigMap that does not exist": {
			receiver: rsaReceiver(accessv1alpha1.KeySource{ConfigMapRef: &accessv1alpha1.ConfigMapKeyReference{Name: "other", Key: "keys"}}),
			wantErr:  []Problem{{notFound, false, `ConfigMap "other" does not exist`}},
		},
		"a ConfigMap without the key": {
			receiver: rsaReceiver(accessv1alpha1.KeySource{ConfigMapRef: &accessv1alpha1.ConfigMapKeyReference{Name: "webhook", Key: "other"}}),
			wantErr:  []Problem{{notFound, false, `ConfigMap "webhook" has no key "other"`}},
		},
		"no source":       {receiver: rsaReceiver(accessv1alpha1.KeySource{}), wantErr: []Problem{{invalid, false, "spec.verification.rsa.keys names neither a Secret nor a ConfigMap"}}},
		"no verification": {receiver: &accessv1alpha1.WebhookReceiver{}, wantErr: []Problem{{invalid, false, "spec.verification names no keys"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			keys, problems, err := Load(t.Context(), readers, tc.receiver)
			if err != nil {
				t.Fatal(err)
			}
			if keys.Len() != tc.want {
				t.Errorf("%d keys, want %d", keys.Len(), tc.want)
			}
			if diff := cmp.Diff(tc.wantErr, problems); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLoadPEM(t *testing.T) {
	invalid := accessv1alpha1.ReasonInvalidKey
	good := string(file(t, "rsa-2048-spki.pem"))
	even := publicPEM(t, func(key *rsa.PublicKey) { key.E = 65538 })
	one := publicPEM(t, func(key *rsa.PublicKey) { key.E = 1 })
	tests := map[string]struct {
		text    string
		want    int
		wantErr []Problem
	}{
		"comments around the blocks":       {text: "the key of 2026\n" + good + "\nand the next\n" + string(file(t, "rsa-3072-pkcs1.pem")) + "end\n", want: 2},
		"no PEM":                           {text: "AAAA", wantErr: []Problem{{invalid, false, `key "keys" of ConfigMap "webhook" holds no public key in PEM`}}},
		"nothing":                          {text: "", wantErr: []Problem{{invalid, false, `key "keys" of ConfigMap "webhook" holds no public key in PEM`}}},
		"a certificate":                    {text: string(file(t, "certificate.pem")), wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" is neither a PUBLIC KEY nor an RSA PUBLIC KEY`}}},
		"a key too small beside a good":    {text: string(file(t, "rsa-1024-spki.pem")) + good, want: 1, wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" is an RSA key of 1024 bits, which is less than 2048 bits`}}},
		"an elliptic curve key":            {text: string(file(t, "ec-p256-spki.pem")), wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" is not an RSA key`}}},
		"SPKI that is none":                {text: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" cannot be parsed`}}},
		"PKCS #1 that is none":             {text: "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n", wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" cannot be parsed`}}},
		"an exponent that everybody knows": {text: one, wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" is not a valid RSA key`}}},
		"an even exponent":                 {text: even, wantErr: []Problem{{invalid, false, `PEM block 1 of key "keys" of ConfigMap "webhook" is not a valid RSA key`}}},
		"more keys than are read":          {text: strings.Repeat(good, cakewalk.MaxPublicKeys+1), want: cakewalk.MaxPublicKeys, wantErr: []Problem{{invalid, true, `key "keys" of ConfigMap "webhook" holds more than 16 PEM blocks; the rest is not read`}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			keys, problems := rsaKeys(t, []byte(tc.text))
			if keys.Len() != tc.want {
				t.Errorf("%d keys, want %d", keys.Len(), tc.want)
			}
			if diff := cmp.Diff(tc.wantErr, problems); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// publicPEM is the 2048-bit key of testdata after a change.
func publicPEM(t *testing.T, change func(*rsa.PublicKey)) string {
	t.Helper()
	block, _ := pem.Decode(file(t, "rsa-2048-spki.pem"))
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		t.Fatalf("%T", parsed)
	}
	change(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(key)}))
}

func TestLoadTellsTroubleWithTheServerFromMissingKeys(t *testing.T) {
	keys := fromConfigMap()
	for name, receiver := range map[string]*accessv1alpha1.WebhookReceiver{"hmac": hmacReceiver("SHA256", "good"), "rsa": rsaReceiver(keys)} {
		t.Run(name, func(t *testing.T) {
			trouble := apierrors.NewServiceUnavailable("away")
			_, problems, err := Load(t.Context(), objects{err: trouble}, receiver)
			if !errors.Is(err, trouble) || problems != nil {
				t.Errorf("got %v and the problems %v", err, problems)
			}
		})
	}
}

func mac(secret, body []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write(body)
	return m.Sum(nil)
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("[]"), "sha256=00")
	f.Add([]byte(""), strings.Repeat("0", 64))
	f.Add([]byte("{}"), strings.Repeat("A", 43)+"=")
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		// The secret is new each time, so that the fuzzer cannot know a good signature.
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			t.Fatal(err)
		}
		secret = []byte(hex.EncodeToString(secret))
		keys := hmacKeys(t, accessv1alpha1.HMACSHA256, string(secret))
		header := http.Header{"X-Signature": {signature}}
		if keys.Verify(header, body) == nil {
			t.Fatalf("%q verified", signature)
		}
		good := mac(secret, body)
		for _, text := range []string{
			hex.EncodeToString(good), strings.ToUpper(hex.EncodeToString(good)), "sha256=" + hex.EncodeToString(good),
			base64.StdEncoding.EncodeToString(good), base64.RawStdEncoding.EncodeToString(good),
			base64.URLEncoding.EncodeToString(good), base64.RawURLEncoding.EncodeToString(good),
		} {
			header.Set("X-Signature", text)
			if err := keys.Verify(header, body); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
