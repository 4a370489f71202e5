// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// found is one item.
type found struct {
	id      string
	item    any
	active  bool
	pending bool
}

// find sends a lookup and returns its items, each id once. missing means that the server says that there is nothing to
// look into.
func (b *Backend) find(ctx context.Context, l *lookup, v variables, needID bool) (all []found, missing bool, err error) {
	known := map[string]bool{}
	page := newPager(b, l)
	for {
		a, seen, what, err := b.page(ctx, l, v, page)
		if err != nil {
			return nil, false, err
		}
		if what == notFound {
			return nil, true, nil
		}
		items, err := l.itemsOf(ctx, a, seen)
		if err != nil {
			return nil, false, err
		}
		for _, item := range items {
			f, matches, err := l.read(ctx, v.with(varItem, item), needID)
			if err != nil {
				return nil, false, err
			}
			if !matches || needID && known[f.id] {
				continue
			}
			known[f.id] = true
			all = append(all, f)
		}
		more, err := page.next(ctx, a, seen, items)
		if err != nil || !more {
			return all, false, err
		}
	}
}

// page gets one page.
func (b *Backend) page(ctx context.Context, l *lookup, v variables, p *pager) (*reply, variables, verdict, error) {
	a, err := b.send(ctx, &l.request, v.with(varCursor, p.cursor), p.address, p.query())
	if err != nil {
		return nil, nil, refused, err
	}
	seen := a.seen(v)
	what := l.judge(ctx, a, seen.with(varCursor, p.cursor))
	switch what {
	case done, alreadyDone:
		if !a.parsed {
			return nil, nil, what, unreadable(l.name, errNotJSON)
		}
		return a, seen.with(varCursor, p.cursor), what, nil
	case notFound:
		if p.count == 0 {
			return a, seen, what, nil
		}
		// What was there a moment ago has changed: what is known is not whole.
		return nil, nil, what, provisioning.Retryable(errors.New("a list ended in the middle: the next page was not found"))
	default:
		return nil, nil, what, b.failure(ctx, &l.request, a, seen, what, false)
	}
}

// itemsOf yields the items of an answer.
func (l *lookup) itemsOf(ctx context.Context, a *reply, seen variables) ([]any, error) {
	if l.items == nil {
		switch body := a.body.(type) {
		case []any:
			return body, nil
		case map[string]any:
			return []any{body}, nil
		default:
			return nil, unreadable(l.name, errors.New("the body is neither an object nor a list; `items` can say what it is"))
		}
	}
	value, err := l.items.Eval(ctx, seen)
	if err != nil {
		return nil, unreadable(l.name+".items", err)
	}
	items, err := value.ConvertToNative(reflect.TypeFor[[]any]())
	list, ok := items.([]any)
	if err != nil || !ok {
		return nil, unreadable(l.name+".items", fmt.Errorf("yields no list but %s", value.Type().TypeName()))
	}
	return list, nil
}

// read reads one item.
func (l *lookup) read(ctx context.Context, v variables, needID bool) (f found, matches bool, err error) {
	f = found{item: v[varItem], active: true}
	if l.match != nil {
		if matches, err = l.match.Bool(ctx, v); err != nil {
			return f, false, unreadable(l.name+".match", err)
		}
		if !matches {
			return f, false, nil
		}
	}
	if needID {
		if f.id, err = l.idOf(ctx, v); err != nil {
			return f, false, unreadable(l.name+".id", err)
		}
	}
	if l.active != nil {
		if f.active, err = l.active.Bool(ctx, v); err != nil {
			return f, false, unreadable(l.name+".active", err)
		}
	}
	if l.pending != nil {
		if f.pending, err = l.pending.Bool(ctx, v); err != nil {
			return f, false, unreadable(l.name+".pending", err)
		}
	}
	return f, true, nil
}

// idOf yields an item's id: a string, or a whole number.
func (l *lookup) idOf(ctx context.Context, v variables) (string, error) {
	value, err := l.id.Eval(ctx, v)
	if err != nil {
		return "", err
	}
	switch id := value.Value().(type) {
	case string:
		if id != "" {
			return id, nil
		}
	case int64:
		return strconv.FormatInt(id, 10), nil
	case uint64:
		return strconv.FormatUint(id, 10), nil
	}
	return "", fmt.Errorf("yields neither a string nor a whole number but %s", value.Type().TypeName())
}
