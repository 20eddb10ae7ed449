package leansign

import (
	"crypto/md5" //nolint:gosec // the dialect's digest of a key
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Role is what a REST request may do.
type Role int

// The roles.
const (
	Nobody Role = iota
	Client      // has the app's key: what anybody may do
	Master      // has the master key: everything in the app
)

// Keys are an app's, which REST requests prove to know.
type Keys struct {
	Key, MasterKey string
	// SignAge is how old a digest of the master key may be, and how far its time
	// may be ahead: who has seen one in a log cannot use it for ever. 0: any age.
	SignAge time.Duration
}

// suffix says that a header speaks of the master key.
const suffix = ",master"

// Header returns the role that the value of X-LC-Key proves: KEY or
// MASTERKEY,master.
func (k Keys) Header(value string) Role {
	if key, ok := strings.CutSuffix(value, suffix); ok {
		return prove(key, k.MasterKey, Master)
	}
	return prove(value, k.Key, Client)
}

// Signed returns the role that the value of X-LC-Sign proves at the given time
// (milliseconds since 1970): MD5(TIME KEY),TIME or MD5(TIME MASTERKEY),TIME,master.
func (k Keys) Signed(value string, now int64) Role {
	value, master := strings.CutSuffix(value, suffix)
	sum, stamp, ok := strings.Cut(value, ",")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil || at < 0 {
		return Nobody
	}
	sum = strings.ToLower(sum)
	if !master {
		return prove(sum, sign(stamp, k.Key), Client)
	}
	if age := k.SignAge.Milliseconds(); age > 0 && (at < now-age || at > now+age) {
		return Nobody
	}
	return prove(sum, sign(stamp, k.MasterKey), Master)
}

func sign(stamp, key string) string {
	if key == "" {
		return ""
	}
	sum := md5.Sum([]byte(stamp + key)) //nolint:gosec // the dialect's digest of a key
	return hex.EncodeToString(sum[:])
}

// prove compares in constant time, whatever the lengths.
func prove(given, want string, role Role) Role {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || want == "" {
		return Nobody
	}
	return role
}
