package leansign

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the dialect signs with HMAC-SHA1
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

const (
	// Life is how long a signature is good for.
	Life = 6 * time.Hour
	// ahead is how far the clock of a signer may be ahead of ours.
	ahead = 10 * time.Minute
	// maxNonce bounds what is hashed.
	maxNonce = 256
	// secondsBelow divides timestamps in seconds from timestamps in milliseconds:
	// as milliseconds it was in 1973.
	secondsBelow = 100_000_000_000
)

// The reasons for which a signature is refused.
var (
	ErrMissing   = errors.New("leansign: no signature")
	ErrWrong     = errors.New("leansign: the signature is not of this action")
	ErrExpired   = errors.New("leansign: the signature is not good at this time")
	ErrVoided    = errors.New("leansign: the signature was made before its user was logged out")
	ErrAmbiguous = errors.New("leansign: an id or a nonce with a colon cannot be signed for")
)

// Given is what the client shows.
type Given struct {
	Signature string
	Timestamp int64 // in milliseconds or seconds since 1970, as it was signed
	Nonce     string
}

// Window says when a signature must have been made. All times are milliseconds
// since 1970.
type Window struct {
	Now   int64
	After int64 // earlier ones were voided; 0: none were
}

// Check says why a signature does not allow an action, or nil. The key is the
// app's master key.
func Check(key string, a Action, g Given, w Window) error {
	switch {
	case key == "" || g.Signature == "" || g.Timestamp <= 0:
		return ErrMissing
	case len(g.Nonce) > maxNonce:
		return ErrWrong
	case !a.clear(g.Nonce):
		return ErrAmbiguous
	}
	made := Millis(g.Timestamp)
	switch {
	case made > w.Now+ahead.Milliseconds(), made < w.Now-Life.Milliseconds():
		return ErrExpired
	case made < w.After:
		return ErrVoided
	}
	sum, err := hex.DecodeString(g.Signature)
	if err != nil {
		return ErrWrong
	}
	fits := false
	for _, line := range a.lines(strconv.FormatInt(g.Timestamp, 10), g.Nonce) {
		if hmac.Equal(sum, digest(key, line)) {
			fits = true // and go on: how long it takes does not say which form it was
		}
	}
	if !fits {
		return ErrWrong
	}
	return nil
}

// Sign makes the signature of an action in its documented form.
func Sign(key string, a Action, timestamp int64, nonce string) string {
	return hex.EncodeToString(digest(key, a.lines(strconv.FormatInt(timestamp, 10), nonce)[0]))
}

// Millis is the time of a signature in milliseconds, whichever way it was given.
func Millis(timestamp int64) int64 {
	if timestamp < secondsBelow {
		return timestamp * 1000
	}
	return timestamp
}

func digest(key, line string) []byte {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(line))
	return mac.Sum(nil)
}
