// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"io/fs"

	"visavis/capture/internal/state"
)

// book is the credentials file as it was last read. An account that did not change keeps its pointer, also while the file could not be
// read: nobody is let in then, but sessions wait for it.
type book struct {
	file   File
	read   state.Stamp
	unread bool                // the system refused the last reading: it may not the next time, though nothing about the file changes
	known  map[string]*Account // of the last reading that did not fail
	byName map[string]*Account // who is let in
	byID   map[string]*Account // tokens
	failed error               // of the last reading
}

func openBook(file File) (*book, error) {
	b := &book{file: file}
	b.readAs(state.StampOf(file.Path))
	return b, b.failed
}

// refresh reads the file again if it changed, and tells whether it did.
func (b *book) refresh() bool {
	now := state.StampOf(b.file.Path)
	if now == b.read && !b.unread {
		return false
	}
	b.readAs(now)
	return true
}

func (b *book) readAs(now state.Stamp) {
	accounts, err := b.file.Read()
	b.read, b.unread, b.failed = now, isUnread(err), err
	b.byName, b.byID = map[string]*Account{}, map[string]*Account{}
	if err == nil {
		b.take(accounts)
	}
}

// isUnread tells a failure of the system from something that is wrong with the file.
func isUnread(err error) bool {
	var failed *fs.PathError
	return errors.As(err, &failed)
}

func (b *book) take(accounts []*Account) {
	for _, account := range accounts {
		if old := b.known[account.Name]; old != nil && old.same(account) {
			account = old
		}
		b.byName[account.Name] = account
		if account.Kind == Token {
			b.byID[account.ID] = account
		}
	}
	b.known = b.byName
}

// holds tells whether the account is still there as it was; none is while the file cannot be read.
func (b *book) holds(account *Account) bool { return b.byName[account.Name] == account }

// knows tells whether the account was there as it is when the file could last be read.
func (b *book) knows(account *Account) bool { return b.known[account.Name] == account }

func (b *book) hasAdmin() bool {
	return b.has((*Account).isAdmin)
}

func (b *book) hasPeople() bool {
	return b.has(func(one *Account) bool { return one.Kind == Password })
}

func (b *book) has(kind func(*Account) bool) bool {
	for _, account := range b.byName {
		if kind(account) {
			return true
		}
	}
	return false
}
