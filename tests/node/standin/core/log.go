package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

var (
	logMutex sync.Mutex
	// logNode is the short name of this node, once it is known.
	logNode string
)

// logLine writes one line as stellar-core does with `--console`.
func logLine(partition, level, format string, args ...any) {
	logMutex.Lock()
	defer logMutex.Unlock()
	node := ""
	if logNode != "" {
		node = logNode + " "
	}
	fmt.Fprintf(os.Stdout, "%s %s[%s %s] %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000"), node, partition, level,
		fmt.Sprintf(format, args...))
}

func info(partition, format string, args ...any)    { logLine(partition, "INFO", format, args...) }
func warning(partition, format string, args ...any) { logLine(partition, "WARNING", format, args...) }
func failure(partition, format string, args ...any) { logLine(partition, "ERROR", format, args...) }
func fatal(partition, format string, args ...any)   { logLine(partition, "FATAL", format, args...) }

// exception logs stellar-core's last line for an unexpected error.
func exception(err error) {
	fatal("default", "Got an exception: %v", err)
	fatal("default", "Please report this bug along with this log file if this was not expected")
}
