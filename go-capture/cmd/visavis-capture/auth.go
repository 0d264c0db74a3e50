// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/config"
	"visavis/capture/internal/pipeline"
	"visavis/capture/internal/state"
)

const authUsage = `visavis-capture auth: manage logins and tokens; people use ` + "`visavis auth`" + `.

  visavis-capture auth add [-config FILE] -role ROLE [-camera ID]... NAME      print a new token
  visavis-capture auth add [-config FILE] -role ROLE -password NAME            read a password from standard input
  visavis-capture auth password [-config FILE] NAME                            read a new password from standard input
  visavis-capture auth list [-config FILE]                                     print logins and tokens as JSON
  visavis-capture auth revoke [-config FILE] NAME                              remove a login or a token

`

// deviceConfig is the configuration of a device that the package has set up.
const deviceConfig = "/etc/visavis/config.toml"

// authCommand is what the words after "auth" ask for.
type authCommand struct {
	action   string
	name     string
	config   string
	role     string
	cameras  []string
	noCamera bool
	password bool
}

var authActions = map[string]func(authCommand, auth.File, io.Reader, io.Writer) error{
	"add": addAccount, "password": changePassword, "list": listAccounts, "revoke": revokeAccount,
}

func runAuth(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	asked, ok := readAuth(arguments, stderr)
	if !ok {
		return exitWrongUse
	}
	signal.Ignore(syscall.SIGPIPE)                         // a reader that went away is a token that nobody got, not the end of us
	reads := config.Program{ForWorker: true, NoDemo: true} // root may manage logins, but only the service sees its credentials
	settings, err := reads.Load(asked.config, os.Environ(), nil)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitWrongUse
	}
	file, err := credentialsOf(asked.config, settings)
	if err == nil {
		err = authActions[asked.action](asked, file, stdin, stdout)
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: run it with sudo", err)
	}
	if err != nil {
		fmt.Fprintf(stderr, "visavis: %v\n", err)
		return exitFailed
	}
	if asked.action == "add" {
		noteWhatIsMissing(asked, settings, stderr)
	}
	return 0
}

// credentialsOf is the file that the daemon of this configuration reads. That of the device's own is the service's, also for whoever may
// not open it: an account in a file of their own would count nowhere.
func credentialsOf(configuration string, settings *config.Config) (auth.File, error) {
	if configuration == deviceConfig && settings.Auth.File == "" {
		return auth.File{Path: filepath.Join(state.OfDevice(), pipeline.CredentialsName)}, nil
	}
	return pipeline.CredentialsFile(settings)
}

// noteWhatIsMissing tells of what the new login has no effect without. Each may come later: it is no reason to refuse. Which cameras there
// are, a configuration that names none does not know: one for logins alone is made for devices with their own.
func noteWhatIsMissing(asked authCommand, settings *config.Config, stderr io.Writer) {
	var there []string
	for _, camera := range settings.Cameras {
		there = append(there, camera.ID)
	}
	for _, id := range asked.cameras {
		if id != "*" && len(there) > 0 && !slices.Contains(there, id) {
			fmt.Fprintf(stderr, "visavis: NOTE: no camera is called %s now; there are %s\n", id, strings.Join(there, ", "))
		}
	}
	if !settings.Auth.Enabled {
		fmt.Fprintln(stderr, "visavis: NOTE: nobody is asked for a login yet: add a section [auth] to the configuration and start the daemon again")
	}
}

func readAuth(arguments []string, stderr io.Writer) (authCommand, bool) {
	var asked authCommand
	flags := flag.NewFlagSet("visavis-capture auth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, authUsage); flags.PrintDefaults() }
	flags.StringVar(&asked.config, "config", "", "configuration `file`; auth.file in it names the file with the credentials")
	flags.StringVar(&asked.role, "role", "", "what they may do: viewer, operator or admin")
	flags.Func("camera", "`id` of a camera that they may see; repeat for more (default: every camera)", func(id string) error {
		asked.cameras = append(asked.cameras, id)
		return nil
	})
	flags.BoolVar(&asked.noCamera, "no-camera", false, "they may see no camera")
	flags.BoolVar(&asked.password, "password", false, "read a password from standard input instead of making a token")
	if len(arguments) == 0 || authActions[arguments[0]] == nil {
		flags.Usage()
		return asked, false
	}
	asked.action = arguments[0]
	if flags.Parse(arguments[1:]) != nil {
		return asked, false
	}
	wantsName := asked.action != "list"
	if asked.name = flags.Arg(0); wantsName != (flags.NArg() == 1) || flags.NArg() > 1 {
		flags.Usage()
		return asked, false
	}
	return asked, true
}

func addAccount(asked authCommand, file auth.File, stdin io.Reader, stdout io.Writer) error {
	wanted := auth.Wanted{Name: asked.name, Role: asked.role, Cameras: asked.cameras}
	if len(wanted.Cameras) == 0 && !asked.noCamera {
		wanted.Cameras = []string{"*"}
	}
	if asked.password {
		var err error
		if wanted.Password, err = readPassword(stdin); err != nil {
			return err
		}
	}
	token, err := file.Add(wanted)
	if token == "" || err != nil {
		return err
	}
	return handOver(token, asked.name, file, stdout)
}

// handOver prints a token. One that nobody got would be valid for nobody, so it is taken back.
func handOver(token, name string, file auth.File, stdout io.Writer) error {
	_, err := fmt.Fprintln(stdout, token)
	if err == nil {
		return nil
	}
	if kept := file.Revoke(name); kept != nil {
		return fmt.Errorf("print the token: %w; `visavis auth revoke %s`, for it could not be taken back: %w", err, name, kept)
	}
	return fmt.Errorf("print the token: %w; nobody was added, run the command again", err)
}

func changePassword(asked authCommand, file auth.File, stdin io.Reader, _ io.Writer) error {
	password, err := readPassword(stdin)
	if err != nil {
		return err
	}
	return file.SetPassword(asked.name, password)
}

// readPassword takes the first line: what is on the command line, others can see.
func readPassword(stdin io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(stdin, 2*auth.PasswordMost)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", fmt.Errorf("there is no password on standard input")
	}
	return line, nil
}

// listAccounts prints what may be shown: no hash.
func listAccounts(_ authCommand, file auth.File, _ io.Reader, stdout io.Writer) error {
	accounts, err := file.Read()
	if err != nil {
		return err
	}
	slices.SortFunc(accounts, func(a, b *auth.Account) int { return strings.Compare(a.Name, b.Name) })
	return json.NewEncoder(stdout).Encode(map[string]any{"file": file.Path, "accounts": append([]*auth.Account{}, accounts...)})
}

func revokeAccount(asked authCommand, file auth.File, _ io.Reader, _ io.Writer) error {
	return file.Revoke(asked.name)
}
