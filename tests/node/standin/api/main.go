// A stand-in for Horizon and Stellar RPC. Like them, it takes its addresses from the environment and needs certain
// things in its pod: a volume that it can write, a database's URL, a config for its captive core. It answers their
// probes.
//
// Called as `curl`, it posts to its last argument, as the probe of Stellar RPC does.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if filepath.Base(os.Args[0]) == "curl" {
		os.Exit(curl(os.Args[len(os.Args)-1], os.Stdout))
	}
	if err := serve(); err != nil {
		fmt.Println("FATAL", err)
		os.Exit(1)
	}
}

// curl makes the request of `curl -sf -m 4 -d … URL`.
func curl(url string, out io.Writer) int {
	client := http.Client{Timeout: 4 * time.Second}
	response, err := client.Post(url, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"getHealth"}`))
	if err != nil {
		return 7
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return 22
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		return 56
	}
	return 0
}

// addresses returns the listen addresses from the environment: two for Stellar RPC, two ports for Horizon.
func addresses(env func(string) string) (listen, admin string, err error) {
	listen, admin = env("ENDPOINT"), env("ADMIN_ENDPOINT")
	if listen == "" && env("PORT") != "" {
		listen, admin = ":"+env("PORT"), ":"+env("ADMIN_PORT")
	}
	if listen == "" {
		return "", "", errors.New("neither ENDPOINT nor PORT says where to listen")
	}
	return listen, admin, nil
}

// needs returns what is missing in the pod.
func needs(env func(string) string) error {
	if env("DATABASE_URL") == "" && env("DB_PATH") == "" {
		return errors.New("neither DATABASE_URL nor DB_PATH names a database")
	}
	if env("NETWORK_PASSPHRASE") == "" {
		return errors.New("NETWORK_PASSPHRASE is not set")
	}
	if err := os.WriteFile("written", []byte("x"), 0o644); err != nil {
		return fmt.Errorf("the working directory: %w", err)
	}
	if path := env("CAPTIVE_CORE_CONFIG_PATH"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the captive core's config: %w", err)
		}
		fmt.Printf("captive core's config has %d bytes\n", len(text))
	}
	return nil
}

// handler answers the probes of both.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"database_connected":true,"core_up":true,"core_synced":true}`)
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{"status":"healthy"}}`)
	})
	return mux
}

func serve() error {
	listen, admin, err := addresses(os.Getenv)
	if err != nil {
		return err
	}
	if err := needs(os.Getenv); err != nil {
		return err
	}
	directory, _ := os.Getwd()
	fmt.Printf("uid %d in %s, listens on %s and %s\n", os.Getuid(), directory, listen, admin)
	failed := make(chan error, 2)
	go func() { failed <- http.ListenAndServe(admin, handler()) }()
	go func() { failed <- http.ListenAndServe(listen, handler()) }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-failed:
		return err
	case <-signals:
		return nil
	}
}
