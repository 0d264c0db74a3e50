// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"

	"visavis/capture/internal/state"
)

const (
	fileBytesMost = 1 << 20
	fileHead      = "# Credentials of visavis: hashes only. `visavis auth` changes it; the daemon sees each change at once.\n\n"
)

// File is a credentials file. Only its owner may read it.
type File struct{ Path string }

// document is the whole file.
type document struct {
	Accounts []*Account `toml:"account"`
}

// Read returns the accounts. A file that is not there holds none; one that others may read is refused.
func (f File) Read() ([]*Account, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, f.failed("read", f.withOwner(err))
	}
	defer file.Close() // only read: nothing can be lost
	info, err := file.Stat()
	if err != nil {
		return nil, f.failed("read", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("credentials in %s may be read by others than their owner: chmod 600 %s", f.Path, f.Path)
	}
	text, err := io.ReadAll(io.LimitReader(file, fileBytesMost+1))
	if err != nil {
		return nil, f.failed("read", err)
	}
	return f.parse(text)
}

// withOwner says what to do about a file that is somebody else's, as one that root has put back.
func (f File) withOwner(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	name := strconv.Itoa(os.Getuid())
	if this, unknown := user.Current(); unknown == nil {
		name = this.Username
	}
	return fmt.Errorf("%w: only its owner may, so make that the user of the daemon: chown %s: %s", err, name, f.Path)
}

func (f File) failed(what string, err error) error {
	return fmt.Errorf("%s the credentials: %w", what, err)
}

func (f File) parse(text []byte) ([]*Account, error) {
	if len(text) > fileBytesMost {
		return nil, f.damaged(fmt.Errorf("it is larger than %d bytes", fileBytesMost))
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // with which editors of Windows begin UTF-8
	if len(text) == 0 {                             // one that we write has a head: this one was cut short, and who is in it is not known
		return nil, f.damaged(errors.New("it is empty: put a copy back, or remove it to begin without any account"))
	}
	var held document
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := decoder.Decode(&held); err != nil {
		return nil, f.damaged(err)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for _, account := range held.Accounts {
		if err := account.check(); err != nil {
			return nil, f.damaged(err)
		}
		if names[account.Name] || account.ID != "" && ids[account.ID] {
			return nil, f.damaged(fmt.Errorf("%q is there twice", account.Name))
		}
		names[account.Name], ids[account.ID] = true, true
	}
	return held.Accounts, nil
}

func (f File) damaged(err error) error {
	return fmt.Errorf("credentials in %s cannot be used: %w", f.Path, err)
}

// Add makes an account. Without a password it returns the account's token, which can be had only now.
func (f File) Add(wanted Wanted) (token string, err error) {
	return f.addIf(wanted, func([]*Account) error { return nil })
}

// addIf makes an account if those that are there allow it, which is asked last.
func (f File) addIf(wanted Wanted, allowed func([]*Account) error) (token string, err error) {
	made, token, err := newAccount(wanted, time.Now())
	if err != nil {
		return "", err
	}
	err = f.change(func(accounts []*Account) ([]*Account, error) {
		for _, one := range accounts {
			if one.Name == made.Name {
				return nil, fmt.Errorf("%q %w: `visavis auth revoke %s` first, or choose another name", made.Name, ErrTaken, made.Name)
			}
		}
		if err := allowed(accounts); err != nil {
			return nil, err
		}
		return append(accounts, &made), nil
	})
	return token, err
}

// SetPassword gives a person another password. A daemon that runs ends the sessions that began with the old one.
func (f File) SetPassword(name, password string) error {
	if err := goodPassword(password); err != nil {
		return err
	}
	hash := hashOf(password).String()
	return f.change(func(accounts []*Account) ([]*Account, error) {
		for _, one := range accounts {
			if one.Name != name {
				continue
			}
			if one.Kind != Password {
				return nil, fmt.Errorf("%q is a program with a token, not a person: `visavis auth revoke %s`, then add it again for a new token", name, name)
			}
			one.Hash = hash
			return accounts, nil
		}
		return nil, unknownName(name)
	})
}

// Revoke removes an account. A daemon that runs ends what it has open.
func (f File) Revoke(name string) error {
	return f.change(func(accounts []*Account) ([]*Account, error) {
		for i, one := range accounts {
			if one.Name == name {
				return append(accounts[:i:i], accounts[i+1:]...), nil
			}
		}
		return nil, unknownName(name)
	})
}

func unknownName(name string) error {
	return fmt.Errorf("nobody is called %q: `visavis auth list` shows all", name)
}

// change reads, changes and writes the file while no other program does. Where its name is a link, what that leads to is changed, for all
// who share it.
func (f File) change(how func([]*Account) ([]*Account, error)) error {
	if real, err := filepath.EvalSymlinks(f.Path); err == nil {
		f.Path = real
	}
	folder, err := f.lockFolder()
	if err != nil {
		return f.failed("change", err)
	}
	defer folder.Close() // gives the lock back
	accounts, err := f.Read()
	if err != nil {
		return err
	}
	if accounts, err = how(accounts); err != nil {
		return err
	}
	text, err := toml.Marshal(document{accounts})
	if err != nil {
		return f.failed("write", err)
	}
	text = append([]byte(fileHead), text...)
	if _, err := f.parse(text); err != nil { // what we could not read again, nobody could repair
		return fmt.Errorf("nothing was changed: %w: `visavis auth revoke` some first", err)
	}
	if err := state.Replace(f.Path, text); err != nil {
		return f.failed("write", err)
	}
	return nil
}

func (f File) lockFolder() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o750); err != nil {
		return nil, err
	}
	folder, err := os.Open(filepath.Dir(f.Path))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		_ = folder.Close() // the lock's error says more
		return nil, err
	}
	return folder, nil
}
