package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestCurlsExitCodes(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			_, _ = w.Write([]byte("content"))
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	defer close(release)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	file := filepath.Join(t.TempDir(), "file")
	for _, row := range []struct {
		args []string
		code int
	}{
		{[]string{"-sf", "--connect-timeout", "3", "--max-time", "120", server.URL + "/file", "-o", file}, 0},
		{[]string{"-s", "-f", server.URL + "/none", "-o", file + "2"}, curlHTTP},
		{[]string{"-s", server.URL + "/none", "-o", file + "3"}, 0},
		{[]string{"-sf", "--max-time", "0.1", server.URL + "/slow", "-o", file}, curlTimeout},
		{[]string{"-sf", closed.URL + "/file", "-o", file}, curlConnect},
		{[]string{"-sf", "https://127.0.0.1/", "-o", file}, curlScheme},
		{[]string{"--no-such-option", server.URL}, curlOption},
		{[]string{"-sf", server.URL + "/file", "-o", "/no/such/directory"}, curlWrite},
	} {
		if code := curl(row.args); code != row.code {
			t.Errorf("%v: %d", row.args, code)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "content" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("an error's page was written in spite of -f")
	}
}

func TestCommandsAreFilledInAsTheFormatLibraryDoes(t *testing.T) {
	for template, want := range map[string]string{
		"cp {0} {1}": "cp a b", "cp {1} {0} {0}": "cp b a a", "cp {} {}": "cp a b", "{{0}}": "{0}", "plain": "plain",
		"{2}": "", "{": "", "}": "", "a { b": "", "{x}": "", "{0": "",
	} {
		got, err := format(template, "a", "b")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", template, got, err)
		}
	}
}
