package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestAddressesOfBoth(t *testing.T) {
	for _, row := range []struct {
		env           func(string) string
		listen, admin string
	}{
		{environment("ENDPOINT", "0.0.0.0:8000", "ADMIN_ENDPOINT", "0.0.0.0:6061"), "0.0.0.0:8000", "0.0.0.0:6061"},
		{environment("PORT", "8000", "ADMIN_PORT", "6061"), ":8000", ":6061"},
		{environment(), "", ""},
	} {
		listen, admin, err := addresses(row.env)
		if listen != row.listen || admin != row.admin || (err == nil) != (row.listen != "") {
			t.Errorf("%s, %s, %v", listen, admin, err)
		}
	}
}

func TestWhatAPodMustHave(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := needs(environment("DB_PATH", "x", "NETWORK_PASSPHRASE", "p")); err != nil {
		t.Error(err)
	}
	for _, env := range []func(string) string{
		environment("NETWORK_PASSPHRASE", "p"), environment("DB_PATH", "x"),
		environment("DB_PATH", "x", "NETWORK_PASSPHRASE", "p", "CAPTIVE_CORE_CONFIG_PATH", "none"),
	} {
		if needs(env) == nil {
			t.Error("it wants for nothing")
		}
	}
}

func TestProbesAreAnswered(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	var out bytes.Buffer
	if code := curl(server.URL, &out); code != 0 || !bytes.Contains(out.Bytes(), []byte(`"healthy"`)) {
		t.Errorf("%d, %s", code, out.String())
	}
	if response, err := http.Get(server.URL + "/health"); err != nil || response.StatusCode != http.StatusOK {
		t.Error(err)
	}
	server.Close()
	if code := curl(server.URL, &out); code != 7 {
		t.Errorf("nobody there: %d", code)
	}
}
