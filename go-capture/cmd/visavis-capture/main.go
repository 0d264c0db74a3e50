// SPDX-License-Identifier: Apache-2.0

// visavis-capture is the daemon: it holds the cameras, the ring, every connection and all state.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"visavis/capture/internal/config"
	"visavis/capture/internal/pipeline"
	"visavis/capture/internal/systemd"
)

// version is set by the linker.
var version = "dev"

const usage = `visavis-capture: the daemon of visavis.

  visavis-capture -config /etc/visavis/config.toml          run; on SIGHUP it reads the cameras again; exit 78 if it is refused
  visavis-capture -config /etc/visavis/config.toml -check   print what is wrong with it; exit 2 then
  visavis-capture -effective                                print the settings in force as JSON; with -check also what it would tell
  visavis-capture auth add|password|list|revoke             manage logins and tokens; people use ` + "`visavis auth`" + `

`

// A daemon that refuses its configuration ends with a status of its own, by which systemd knows that another start would be in vain: 2
// is also how Go ends a program that crashes, or that the watchdog ends.
const (
	exitFailed   = 1
	exitWrongUse = 2
	exitRefused  = 78 // EX_CONFIG of sysexits.h
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(arguments []string, stdout, stderr io.Writer) int {
	if len(arguments) > 0 && arguments[0] == "auth" {
		return runAuth(arguments[1:], os.Stdin, stdout, stderr)
	}
	flags := flag.NewFlagSet("visavis-capture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	file := flags.String("config", "", "configuration `file`; without it, each setting has its default")
	check := flags.Bool("check", false, "check the configuration and exit")
	effective := flags.Bool("effective", false, "print the settings in force as JSON and exit")
	forWorker := flags.Bool("for-worker", false, "with -effective: do not open the files with secrets, which a worker may not read")
	noCredentials := flags.Bool("no-credentials", false, "with -check: do not ask for the credentials that systemd gives to the service alone")
	dieWithParent := flags.Bool("die-with-parent", false, "end when the process that started this one ends")
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitWrongUse
	case flags.NArg() > 0: // a file without -config would start with other settings than its owner thinks
		fmt.Fprintf(stderr, "visavis-capture: %q is no option: a file is named with -config, everything else is in -help\n", flags.Arg(0))
		return exitWrongUse
	}
	reads := config.Program{Version: version, ForWorker: *effective && *forWorker, NoCredentials: *check && *noCredentials}
	asks := *check || *effective
	reads.Starts = !asks
	load := func() (*config.Config, error) { return reads.Load(*file, os.Environ(), nil) }
	settings, err := load()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return statusOf(err, asks)
	}
	if asks {
		return question{*file, *check && !*noCredentials, *effective}.answer(settings, stdout, stderr)
	}
	if journal := systemd.NewJournal(); journal != nil {
		slog.SetDefault(slog.New(journal))
	}
	return attended(settings, *file, load, *dieWithParent, stderr)
}

// statusOf a configuration that cannot be used: of one that a worn disk does not give there may be more at the next try.
func statusOf(refusal error, asks bool) int {
	var problems config.Problems
	switch {
	case asks:
		return exitWrongUse
	case errors.As(refusal, &problems) && problems.MayPass():
		return exitFailed
	}
	return exitRefused
}

// attended runs the appliance until SIGINT or SIGTERM and returns the status to exit with.
func attended(settings *config.Config, file string, load func() (*config.Config, error), dieWithParent bool, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	began := time.Now()
	err := serve(ctx, settings, file, load, dieWithParent)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "visavis-capture: %v\n", err)
	if ctx.Err() == nil {
		stop() // SIGTERM ends it at once from here on
		if err := holdBack(systemd.RuntimeFolder(), time.Since(began), time.Sleep); err != nil {
			fmt.Fprintf(stderr, "visavis-capture: nothing holds back its next start: %v\n", err)
		}
	}
	return exitFailed
}

// question is what -check and -effective ask of a good configuration.
type question struct {
	file             string
	warns, effective bool // it does not warn without the credentials, which may be certificates
}

// answer prints what they promise.
func (q question) answer(settings *config.Config, stdout, stderr io.Writer) int {
	text, err := []byte("ok"), error(nil)
	if q.effective {
		text, err = settings.JSON()
	}
	if q.warns {
		q.warn(settings, stderr)
	}
	if err == nil {
		_, err = fmt.Fprintln(stdout, string(text))
	}
	if err != nil {
		fmt.Fprintf(stderr, "visavis: %v\n", err)
		return exitFailed
	}
	return 0
}

// warn tells of what does not keep the daemon from running.
func (q question) warn(settings *config.Config, stderr io.Writer) {
	for _, flaw := range pipeline.CertificateFlaws(settings, time.Now()) {
		fmt.Fprintf(stderr, "visavis: warning, %s: %v\n", cmp.Or(config.Printable(q.file), "the settings"), flaw)
	}
}

// sameName is how a configuration is called wherever the daemon was started from.
func sameName(file string) string {
	if file == "" {
		return "defaults"
	}
	if absolute, err := filepath.Abs(file); err == nil {
		return absolute
	}
	return file // there is no working folder: the name that was given is all there is
}

// serve runs the appliance until ctx ends.
func serve(ctx context.Context, settings *config.Config, file string, load func() (*config.Config, error), dieWithParent bool) error {
	hangups := make(chan os.Signal, 1) // from here on: one that comes earlier than who reads it would end us
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	collectLess()
	if err := leaveNoCore(); err != nil {
		slog.Warn("a crash may leave pictures on the disk", "error", err)
	}
	if dieWithParent {
		if err := followParent(); err != nil {
			return err
		}
	}
	if settings.Detector.Model == "auto" {
		slog.Info("the model is the recommended one, its input too unless it is set", "input", settings.Detector.Input)
	}
	appliance, err := pipeline.New(settings, sameName(file), version)
	if err != nil {
		return err
	}
	appliance.RereadWith(load)
	go reloadOn(ctx, hangups, load, appliance)
	if err := appliance.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
