package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate/quorate/wire"
)

var (
	now  = time.Unix(1_800_000_000, 0)
	keys = Keys{Key: "app-key", MasterKey: "master-key"}
)

func sign(t *testing.T, secret string, method jwt.SigningMethod, change func(*claims)) string {
	t.Helper()
	c := claims{RegisteredClaims: jwt.RegisteredClaims{
		Subject:   "tom",
		Audience:  jwt.ClaimStrings{"app"},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
	}}
	if change != nil {
		change(&c)
	}
	var key any = []byte(secret)
	if method == jwt.SigningMethodNone {
		key = jwt.UnsafeAllowNoneSignatureType
	}
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerify(t *testing.T) {
	hs256 := jwt.SigningMethodHS256
	for _, c := range []struct {
		name  string
		token string
		ok    bool
	}{
		{"app key", sign(t, "app-key", hs256, nil), true},
		{"master key", sign(t, "master-key", hs256, nil), true},
		{"another key", sign(t, "guess", hs256, nil), false},
		{"empty key", sign(t, "", hs256, nil), false},
		{"no signature", sign(t, "", jwt.SigningMethodNone, nil), false},
		{"another algorithm", sign(t, "app-key", jwt.SigningMethodHS512, nil), false},
		{"another app", sign(t, "app-key", hs256, func(c *claims) { c.Audience = jwt.ClaimStrings{"other"} }), false},
		{"expired", sign(t, "app-key", hs256, func(c *claims) {
			c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now.Add(-3*time.Hour)), jwt.NewNumericDate(now.Add(-2*time.Hour))
		}), false},
		{"no expiry", sign(t, "app-key", hs256, func(c *claims) { c.ExpiresAt = nil }), false},
		{"no time of issue", sign(t, "app-key", hs256, func(c *claims) { c.IssuedAt = nil }), false},
		{"too long", sign(t, "app-key", hs256, func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(25 * time.Hour)) }), false},
		{"issued tomorrow", sign(t, "app-key", hs256, func(c *claims) {
			c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now.Add(24*time.Hour)), jwt.NewNumericDate(now.Add(25*time.Hour))
		}), false},
		{"no subject", sign(t, "app-key", hs256, func(c *claims) { c.Subject = "" }), false},
		{"subject with a control character", sign(t, "app-key", hs256, func(c *claims) { c.Subject = "t\x00m" }), false},
		{"a session token made with the app key", sign(t, "app-key", hs256, func(c *claims) { c.Use = useSession }), false},
		{"not a token", "x.y.z", false},
		{"nothing", "", false},
		{"huge", strings.Repeat("a.", 1000), false},
	} {
		id, err := Verify("app", keys, c.token, now)
		if c.ok && (err != nil || id.User != "tom" || id.App != "app") {
			t.Errorf("%s: %+v, %v", c.name, id, err)
		}
		if !c.ok && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: signed in as %+v, %v", c.name, id, err)
		}
	}
}

func TestTheAppItself(t *testing.T) {
	nobody := func(c *claims) { c.Subject = "" }
	id, err := Verify("app", keys, sign(t, "master-key", jwt.SigningMethodHS256, nobody), now)
	if err != nil || id.User != "" {
		t.Errorf("%+v, %v, want the app", id, err)
	}
	if id, err := Verify("app", keys, sign(t, "app-key", jwt.SigningMethodHS256, nobody), now); err == nil {
		t.Errorf("the app's key signs in as the app: %+v", id)
	}
}

func TestAnAppWithoutKeysSignsNobodyIn(t *testing.T) {
	if id, err := Verify("app", Keys{}, sign(t, "", jwt.SigningMethodHS256, nil), now); err == nil {
		t.Errorf("signed in as %+v", id)
	}
}

func TestSessionToken(t *testing.T) {
	want := Identity{App: "app", User: "tom", Device: "phone", Issued: now}
	token, err := Issue(want, keys)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify("app", keys, token, now.Add(time.Hour))
	if err != nil || got.User != want.User || got.Device != want.Device || !got.Issued.Equal(want.Issued) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name, verify := range map[string]func() (Identity, error){
		"after a day":            func() (Identity, error) { return Verify("app", keys, token, now.Add(25*time.Hour)) },
		"for another app":        func() (Identity, error) { return Verify("other", keys, token, now) },
		"with a new master key":  func() (Identity, error) { return Verify("app", Keys{Key: "app-key", MasterKey: "n"}, token, now) },
		"of an app without keys": func() (Identity, error) { return Verify("app", Keys{}, token, now) },
	} {
		if id, err := verify(); err == nil {
			t.Errorf("%s: signed in as %+v", name, id)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := Verify(wire.AppID("app"), keys, token, now); err == nil {
			t.Errorf("%q signs in as %+v", token, id)
		}
	})
}
