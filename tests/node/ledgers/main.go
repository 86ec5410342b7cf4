// Command ledgers records the reports of each stellar-core of a cluster, and judges the record.
//
//	ledgers follow CGROUP   writes a line whenever the state of a stellar-core below this cgroup changes
//	ledgers judge FILE SINCE [EXCEPT…]   judges what was recorded since a moment, but for these pods
//
// It makes no requests to Kubernetes and needs nothing in the image: it finds the processes by their cgroups, and asks
// each in its own network namespace.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	info  = "http://127.0.0.1:11626/info"
	every = 200 * time.Millisecond
)

func main() {
	arguments := os.Args[1:]
	switch {
	case len(arguments) == 2 && arguments[0] == "follow":
		follow(arguments[1])
	case len(arguments) == 3 && arguments[0] == "poll":
		poll(arguments[1], arguments[2])
	case len(arguments) >= 3 && arguments[0] == "judge":
		record, err := os.Open(arguments[1])
		since, bad := strconv.ParseFloat(arguments[2], 64)
		if err != nil || bad != nil {
			fmt.Fprintln(os.Stderr, err, bad)
			os.Exit(2)
		}
		verdict := judge(record, since, float64(time.Now().UnixMilli())/1000, arguments[3:])
		fmt.Println(verdict)
		if len(verdict.faults) > 0 {
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: ledgers follow CGROUP | ledgers judge FILE SINCE [EXCEPT...]")
		os.Exit(2)
	}
}

// follow starts a poll for each new stellar-core.
func follow(cgroup string) {
	polled := map[string]bool{}
	for ; ; time.Sleep(every) {
		_ = filepath.WalkDir(cgroup, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" || !strings.Contains(path, "/pod") {
				return nil
			}
			processes, _ := os.ReadFile(path)
			for _, process := range strings.Fields(string(processes)) {
				if polled[process] {
					continue
				}
				if pod := coreOf(process); pod != "" {
					polled[process] = true
					go polling(process, pod)
				}
			}
			return nil
		})
	}
}

// coreOf returns the pod whose stellar-core this process is.
func coreOf(process string) string {
	line, _ := os.ReadFile("/proc/" + process + "/cmdline")
	words := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	if filepath.Base(words[0]) != "stellar-core" {
		return ""
	}
	for _, word := range words[1:] {
		if word == "run" {
			pod, _ := os.ReadFile("/proc/" + process + "/root/etc/hostname")
			return strings.TrimSpace(string(pod))
		}
	}
	return ""
}

func polling(process, pod string) {
	command := exec.Command("nsenter", "-t", process, "-n", "/proc/self/exe", "poll", process, pod)
	if own, err := os.Executable(); err == nil {
		command.Args[4] = own
	}
	command.Stdout = os.Stdout
	_ = command.Run()
}

// poll asks until the process is gone, and writes each change: time, pod, process, ledger, state.
func poll(process, pod string) {
	client := http.Client{Timeout: 5 * time.Second}
	last := ""
	say := func(now string) {
		if now != last {
			fmt.Printf("%.3f %s %s %s\n", float64(time.Now().UnixMilli())/1000, pod, process, now)
		}
		last = now
	}
	for ; ; time.Sleep(every) {
		if coreOf(process) != pod {
			say("- gone")
			return
		}
		say(ask(&client))
	}
}

// ask returns the last ledger, and the state without blanks.
func ask(client *http.Client) string {
	response, err := client.Get(info)
	if err != nil {
		return "- silent"
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	var answer struct {
		Info *struct {
			Ledger struct{ Num int }
			State  string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Info == nil {
		return "- booting"
	}
	return fmt.Sprintf("%d %s", answer.Info.Ledger.Num, strings.ReplaceAll(answer.Info.State, " ", "_"))
}
