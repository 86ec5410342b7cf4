package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The exit codes of curl that are distinguished.
const (
	curlOption   = 2
	curlScheme   = 1
	curlResolve  = 6
	curlConnect  = 7
	curlHTTP     = 22
	curlWrite    = 23
	curlTimeout  = 28
	curlReceived = 56
)

// curl fetches one URL over plain HTTP, with the options of archives' commands: -s -S -f -L -o FILE --max-time
// --connect-timeout.
// --connect-timeout.
func curl(args []string) int {
	var file, url string
	var quiet, fails bool
	whole, connect := time.Duration(0), 300*time.Second
	number := func(text string) time.Duration {
		seconds, _ := strconv.ParseFloat(text, 64)
		return time.Duration(seconds * float64(time.Second))
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		value := func() string {
			if i+1 < len(args) {
				i++
				return args[i]
			}
			return ""
		}
		switch {
		case arg == "--max-time" || arg == "-m":
			whole = number(value())
		case arg == "--connect-timeout":
			connect = number(value())
		case arg == "--output":
			file = value()
		case arg == "--silent":
			quiet = true
		case arg == "--fail":
			fails = true
		case arg == "--location" || arg == "--show-error":
		case strings.HasPrefix(arg, "--"):
			fmt.Fprintf(os.Stderr, "curl: option %s: is unknown\n", arg)
			return curlOption
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			for _, letter := range arg[1:] {
				switch letter {
				case 's':
					quiet = true
				case 'f':
					fails = true
				case 'S', 'L':
				case 'o':
					file = value()
				default:
					fmt.Fprintf(os.Stderr, "curl: option -%c: is unknown\n", letter)
					return curlOption
				}
			}
		default:
			url = arg
		}
	}
	code, err := curlGet(url, file, fails, whole, connect)
	if err != nil && !quiet {
		fmt.Fprintf(os.Stderr, "curl: (%d) %v\n", code, err)
	}
	return code
}

func curlGet(url, file string, fails bool, whole, connect time.Duration) (int, error) {
	if !strings.HasPrefix(url, "http://") {
		return curlScheme, errors.New("protocol not supported")
	}
	ctx := context.Background()
	if whole > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, whole)
		defer cancel()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 3, err
	}
	// The trailing dot of a name is for the resolver; servers get the name without it.
	request.Host = strings.Replace(request.URL.Host, ".:", ":", 1)
	request.Header.Set("User-Agent", "curl/7.81.0")
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: connect}).DialContext, DisableCompression: true},
	}
	response, err := client.Do(request)
	if err != nil {
		return curlCode(err), err
	}
	defer response.Body.Close()
	if fails && response.StatusCode >= http.StatusBadRequest {
		return curlHTTP, fmt.Errorf("The requested URL returned error: %d", response.StatusCode)
	}
	out := io.Writer(os.Stdout)
	if file != "" {
		created, err := os.Create(file)
		if err != nil {
			return curlWrite, err
		}
		defer created.Close()
		out = created
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		return curlCode(err), err
	}
	return 0, nil
}

func curlCode(err error) int {
	var lookup *net.DNSError
	var timeout net.Error
	var operation *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return curlTimeout
	case errors.As(err, &lookup):
		return curlResolve
	case errors.As(err, &operation) && operation.Op == "dial":
		return curlConnect
	default:
		return curlReceived
	}
}
