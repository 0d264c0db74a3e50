// SPDX-License-Identifier: Apache-2.0

package config

import (
	"regexp"
	"sort"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lineTable knows the line of every key and every element of an array: camera[0].size[1] -> 12.
type lineTable map[string]int

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// under appends a key to a path; strange keys are quoted, so that two paths never look the same.
func under(path, key string) string {
	if !bareKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

// lineWalk goes through the syntax tree of a document that is known to be valid.
type lineWalk struct {
	parser   unstable.Parser
	newlines []int // offsets
	arrays   map[string]int
	table    lineTable
}

func linesOf(text []byte) lineTable {
	w := lineWalk{arrays: map[string]int{}, table: lineTable{}}
	for offset, b := range text {
		if b == '\n' {
			w.newlines = append(w.newlines, offset)
		}
	}
	w.parser.Reset(text)
	inside := ""
	for w.parser.NextExpression() {
		node := w.parser.Expression()
		switch node.Kind {
		case unstable.Table:
			inside = w.header(node, false)
		case unstable.ArrayTable:
			inside = w.header(node, true)
		case unstable.KeyValue:
			w.pair(node, inside)
		}
	}
	return w.table
}

func (w *lineWalk) note(path string, node *unstable.Node) {
	if _, known := w.table[path]; !known {
		w.table[path] = sort.SearchInts(w.newlines, int(node.Raw.Offset)) + 1
	}
}

// header notes [a.b] or [[a.b]] and returns the path of the table that begins; a known array stands for its last element.
func (w *lineWalk) header(node *unstable.Node, array bool) string {
	path := ""
	keys := node.Key()
	for keys.Next() {
		key := keys.Node()
		path = under(path, string(key.Data))
		w.note(path, key)
		if array && keys.IsLast() {
			w.arrays[path]++
		}
		if count := w.arrays[path]; count > 0 {
			path = element(path, count-1)
			w.note(path, key)
		}
	}
	return path
}

func (w *lineWalk) pair(node *unstable.Node, path string) {
	keys := node.Key()
	for keys.Next() {
		path = under(path, string(keys.Node().Data))
		w.note(path, keys.Node())
	}
	w.value(node.Value(), path)
}

func (w *lineWalk) value(node *unstable.Node, path string) {
	switch node.Kind {
	case unstable.InlineTable:
		pairs := node.Children()
		for pairs.Next() {
			w.pair(pairs.Node(), path)
		}
	case unstable.Array:
		w.elements(node, path)
	}
}

// elements notes those elements of an array that say where they are; the others are found through the array's own line.
func (w *lineWalk) elements(node *unstable.Node, path string) {
	children := node.Children()
	for index := 0; children.Next(); index++ {
		child := children.Node()
		at := element(path, index)
		if child.Kind != unstable.Array && child.Kind != unstable.InlineTable && child.Raw.Length > 0 {
			w.note(at, child)
		}
		w.value(child, at)
	}
}
