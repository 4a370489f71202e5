// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sqlclienttest is a database server that answers what a test wants, also what no server should.
package sqlclienttest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Secret is a password that the driver's own errors show, and nobody else's may.
const Secret = "the-operators-own-password"

// ErrCut is a driver's own error: the connection broke. As some drivers do, it tells how it was made.
var ErrCut = errors.New("cannot dial operator:" + Secret + "@db.example.com")

// Answer is what the server says to a statement.
type Answer struct {
	// Rows are as wide as the first one.
	Rows [][]driver.Value
	// Err comes after the rows; where there are none, in their place.
	Err error
}

// Texts returns the rows as texts. It fails where a client cannot have read them all as rows of so many values.
func (a Answer) Texts(columns int) ([][]string, bool) {
	if a.Err != nil {
		return nil, false
	}
	all := make([][]string, 0, len(a.Rows))
	for _, row := range a.Rows {
		if len(row) != columns {
			return nil, false
		}
		texts := make([]string, columns)
		for i, value := range row {
			switch value := value.(type) {
			case nil:
				return nil, false
			case []byte:
				texts[i] = string(value)
			default:
				texts[i] = fmt.Sprint(value)
			}
		}
		all = append(all, texts)
	}
	return all, true
}

// Read makes an answer of a text, a row a line, its values between bars: NULL, true, false, #7 for a number, 'x for a
// string, anything else for bytes. A line that begins with an exclamation mark is an error of the server's, with a code
// and a message after a space, and the end; without a code it is ErrCut.
func Read(text string, failure func(code, message string) error) Answer {
	var a Answer
	if text == "" {
		return a
	}
	for line := range strings.SplitSeq(text, "\n") {
		if said, ok := strings.CutPrefix(line, "!"); ok {
			code, message, _ := strings.Cut(said, " ")
			if a.Err = ErrCut; code != "" {
				a.Err = failure(code, message)
			}
			return a
		}
		var row []driver.Value
		for cell := range strings.SplitSeq(line, "|") {
			row = append(row, value(cell))
		}
		if len(a.Rows) > 0 {
			row = append(row, make([]driver.Value, len(a.Rows[0]))...)[:len(a.Rows[0])]
		}
		a.Rows = append(a.Rows, row)
	}
	return a
}

func value(cell string) driver.Value {
	switch cell {
	case "NULL":
		return nil
	case "true", "false":
		return cell == "true"
	}
	if text, ok := strings.CutPrefix(cell, "'"); ok {
		return text
	}
	if digits, ok := strings.CutPrefix(cell, "#"); ok {
		if number, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return number
		}
	}
	return []byte(cell)
}

// Open returns a database whose server answers every statement with what answer returns.
func Open(answer func(statement string) Answer) *sql.DB { return sql.OpenDB(server(answer)) }

type server func(statement string) Answer

// Connect implements driver.Connector.
func (s server) Connect(context.Context) (driver.Conn, error) { return conn{s}, nil }

// Driver implements driver.Connector.
func (s server) Driver() driver.Driver { return nil }

type conn struct{ answer server }

var (
	_ driver.QueryerContext = conn{}
	_ driver.ExecerContext  = conn{}
)

func (conn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (conn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (conn) Close() error                        { return nil }

// QueryContext implements driver.QueryerContext.
func (c conn) QueryContext(_ context.Context, statement string, _ []driver.NamedValue) (driver.Rows, error) {
	a := c.answer(statement)
	if len(a.Rows) == 0 && a.Err != nil {
		return nil, a.Err
	}
	return &rows{answer: a}, nil
}

// ExecContext implements driver.ExecerContext.
func (c conn) ExecContext(_ context.Context, statement string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, c.answer(statement).Err
}

type rows struct {
	answer Answer
	next   int
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string {
	if len(r.answer.Rows) == 0 {
		return nil
	}
	return make([]string, len(r.answer.Rows[0]))
}

// Close implements driver.Rows.
func (r *rows) Close() error { return nil }

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	if r.next == len(r.answer.Rows) {
		if r.answer.Err != nil {
			return r.answer.Err
		}
		return io.EOF
	}
	copy(dest, r.answer.Rows[r.next])
	r.next++
	return nil
}
