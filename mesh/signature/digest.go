package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Digest is the value of Content-Digest for a body.
func Digest(body []byte) string {
	if len(body) == 0 {
		return emptyDigest
	}
	sum := sha256.Sum256(body)
	return digestField(sum[:])
}

var emptyDigest = func() string {
	sum := sha256.Sum256(nil)
	return digestField(sum[:])
}()

func digestField(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// checkDigest compares a body with its Content-Digest. Every algorithm named
// that is known must agree, and one must be known.
func checkDigest(field string, body []byte) error {
	if field == emptyDigest && len(body) == 0 {
		return nil
	}
	members, err := parseDictionary(field)
	if err != nil {
		return fmt.Errorf("Content-Digest: %w", err)
	}
	known := false
	for _, m := range members {
		var sum []byte
		switch m.key {
		case "sha-256":
			s := sha256.Sum256(body)
			sum = s[:]
		case "sha-512":
			s := sha512.Sum512(body)
			sum = s[:]
		default:
			continue
		}
		known = true
		if subtle.ConstantTimeCompare(sum, m.bytes) != 1 {
			return fmt.Errorf("the body's %s is not the one in Content-Digest", m.key)
		}
	}
	if !known {
		return errors.New("Content-Digest names neither sha-256 nor sha-512")
	}
	return nil
}

// readBody buffers a body of at most limit bytes.
func readBody(r *http.Request, limit int64) (body []byte, tooLarge bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, false, nil
	}
	if r.ContentLength > limit {
		return nil, true, nil
	}
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		n, err := io.ReadFull(r.Body, body)
		return body[:n], false, err
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	return body, int64(len(body)) > limit, err
}

// ensureDigest sets Content-Digest, reading the body where it must: through
// GetBody when there is one, else by buffering at most limit bytes.
func ensureDigest(r *http.Request, limit int64) error {
	if r.Header.Get(headerDigest) != "" {
		return nil
	}
	if r.Body == nil || r.Body == http.NoBody {
		r.Header.Set(headerDigest, emptyDigest)
		return nil
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return fmt.Errorf("read the body to sign it: %w", err)
		}
		hash := sha256.New()
		_, err = io.Copy(hash, body)
		if err = errors.Join(err, body.Close()); err != nil {
			return fmt.Errorf("read the body to sign it: %w", err)
		}
		r.Header.Set(headerDigest, digestField(hash.Sum(nil)))
		return nil
	}
	body, tooLarge, err := readBody(r, limit)
	if tooLarge {
		return fmt.Errorf("the body is larger than the %d bytes that are buffered to sign it; set GetBody", limit)
	}
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return fmt.Errorf("read the body to sign it: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.ContentLength = int64(len(body))
	r.Header.Set(headerDigest, Digest(body))
	return nil
}
