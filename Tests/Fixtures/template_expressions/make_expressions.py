#!/usr/bin/env python3
"""Writes expressions.json: expressions of chat templates and what Python's Jinja2 makes of them, in the environment that
transformers gives templates. An expression without a value is an error there.

    pip install jinja2==3.1.6 && python3 make_expressions.py
"""
import importlib.util
import itertools
import json
import pathlib

FOLDER = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location(
    "make_templates", FOLDER.parent / "chat_templates" / "make_templates.py")
make_templates = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_templates)

VARIABLES = {
    "s": "Hello, World", "u": "ΟΔΟΣ Straße ﬁ ǅ İ 'n", "e": "", "b": "  a\tb\n c  ", "big": 2**64 - 1, "huge": 10**40,
    "l": [3, 1, 2, 3], "w": ["b", "A", "c", "a"], "d": {"b": 1, "a": [2, None], "items": 3},
    "r": [{"n": "x", "v": 2, "g": "U"}, {"n": "y", "v": 1, "g": "u"}, {"n": "z", "g": "t", "v": 2}],
    "f": 2.5, "i": -7, "n": None, "t": True,
}


def methods():
    for text in ("s", "u", "e", "b", "'abcabc'", "'aXbXc'"):
        yield from (f"{text}.{name}()" for name in (
            "upper lower title capitalize swapcase casefold strip lstrip rstrip split rsplit splitlines isalpha isdigit "
            "isalnum isdecimal isnumeric isspace isascii isupper islower istitle isidentifier isprintable expandtabs").split())
    for name in ("startswith", "endswith"):
        for arguments in ("'a'", "'c'", "''", "('x', 'a')", "('c',)", "()", "['a']", "'b', 1", "'b', 1, 2", "'c', -1", "'b', 0, 2",
                          "'', 6", "'', 7", "'a', none, none", "1", "", "prefix='a'", "'a', '1'", "'a', 0, 9, 9", "nothing"):
            yield f"'abcabc'.{name}({arguments})"
    for name in ("find", "rfind", "index", "rindex", "count"):
        for arguments in ("'b'", "'b', 2", "'b', 2, 3", "'b', -2", "'bc', 0, 2", "''", "'', 3", "'', 6", "'', 7", "'', 3, 2", "'z'",
                          "'b', none, 2", "1", "", "sub='b'"):
            yield f"'abcabc'.{name}({arguments})"
        yield f"u.{name}('Σ')"
        yield f"u.{name}('ß', 3, 99)"
        yield f"'aaaa'.{name}('aa')"
    for arguments in ("'a', 'b'", "'a', 'b', 1", "'a', 'b', 0", "'a', 'b', -1", "'', '-'", "'', '-', 2", "'ab', ''", "'a'", "'a', 1",
                      "'a', 'b', 'c'", "'a', 'b', 1, 2"):
        yield f"'abab'.replace({arguments})"
    for name in ("split", "rsplit"):
        for arguments in ("','", "',', 1", "',', maxsplit=1", "sep=','", "none", "none, 1", "' ', 1", "''", "1", "',', 0", "',', -1",
                          "', ', 5", "',', 1, 2", "sepa=','", "maxsplit=0"):
            yield f"'a, b,c ,'.{name}({arguments})"
    yield from ("'a\\nb\\r\\nc\\x0b\\n'.splitlines()", "'a\\nb\\r\\nc\\x0b\\n'.splitlines(true)", "'a\\nb'.splitlines(keepends=true)",
                "'\\n'.splitlines()", "'a\\n'.splitlines(1, 2)")
    for name in ("strip", "lstrip", "rstrip"):
        for arguments in ("'x'", "'xy'", "none", "''", "1", "chars='x'"):
            yield f"'xyaxy'.{name}({arguments})"
    for name in ("center", "ljust", "rjust"):
        for arguments in ("7", "8", "7, '*'", "8, '*'", "2", "7, '**'", "'7'", "", "7, 1", "-1", "width=7"):
            yield f"'abc'.{name}({arguments})"
    yield from (f"'{text}'.zfill({width})" for text in ("42", "-42", "+4", "", "é") for width in (5, 0, "'5'"))
    for name in ("partition", "rpartition"):
        yield from (f"'a-b-c'.{name}({arguments})" for arguments in ("'-'", "'x'", "''", "1", ""))
    for name in ("removeprefix", "removesuffix"):
        yield from (f"'abcab'.{name}({arguments})" for arguments in ("'ab'", "'x'", "''", "1", "('ab',)", ""))
    yield from ("'-'.join(['a', 'b'])", "'-'.join([1])", "'-'.join('abc')", "'-'.join({'a': 1})", "'-'.join(1)", "''.join([])",
                "'a\\tb\\tc'.expandtabs()", "'a\\tbb\\n\\tc'.expandtabs(4)", "'a\\tb'.expandtabs(tabsize=0)", "'a\\tb'.expandtabs('4')",
                "'abc'.translate({97: 'x', 98: none, 99: 100})", "'İI'.lower()", "'ΑΣ ΑΣΑ Σ'.lower()", "'ΑΣ.'.lower()",
                "'ς ẞ ᏸ ı'.casefold()", "'ǆ'.title()", "'they\\'re'.title()", "'ß'.upper()", "'ŉ'.upper()", "'ΣΑΣ'.capitalize()",
                "'Ab1 Cd'.istitle()", "'aB'.istitle()", "'ǅ'.istitle()", "'a b'.isidentifier()", "'_a1'.isidentifier()",
                "'1a'.isidentifier()", "'a\\n'.isprintable()", "'½'.isnumeric()", "'²'.isdigit()", "'²'.isdecimal()", "'٣'.isdecimal()",
                "'é'.isascii()", "''.isascii()", "'ª'.islower()", "'Ⅷ'.isupper()", "'abc'.upper(1)", "'abc'.lower(x=1)",
                "s.nothing()", "s.upper is defined", "s['upper']()", "(s|attr('lower'))()")


def formats():
    for template, arguments in (
            ("{} {}", "1, 'a'"), ("{1} {0}", "1, 'a'"), ("{a} {b}", "a=1, b=2"), ("{:,}", "1234567"), ("{:,}", "-1234"), ("{:,}", "1234.5"),
            ("{:_}", "1234567"), ("{:_x}", "1048576"), ("{:,.2f}", "1234567.891"), ("{0[k]}", "{'k': 5}"), ("{0[1]}", "[1, 2]"),
            ("{a.b}", "a={'b': 3}"), ("{0.real}", "1"), ("{:>5}|{:<5}|{:^5}|", "1, 2, 3"), ("{:>5}|{:<5}|{:^5}|", "'a', 'b', 'c'"),
            ("{:*^9}", "'mid'"), ("{:05}", "42"), ("{:+05d}", "42"), ("{: d}", "42"), ("{:=+8}", "-3"), ("{:08.3f}", "-3.14159"),
            ("{:x} {:X} {:o} {:b} {:#x} {:#o} {:#b}", "255, 255, 8, 5, 255, 8, 5"), ("{:c}", "97"), ("{:e}", "12345.678"), ("{:.2e}", "0.00012"),
            ("{:g} {:g} {:g}", "1e-5, 123456789.0, 0.1"), ("{:G}", "1e20"), ("{:%} {:.1%}", "0.25, 0.256"), ("{:.3}", "3.14159"),
            ("{:.3}", "'abcdef'"), ("{:10.3}|", "'abcdef'"), ("{:.0f} {:.0f}", "0.5, 1.5"), ("{!r} {!s} {!a}", "'é', 'é', 'é'"),
            ("{!r:>6}", "'a'"), ("{:{}}|", "'a', 5"), ("{:{w}.{p}f}", "3.14159, w=8, p=2"), ("{{}} {}", "1"), ("{", "1"), ("}", "1"), ("{}", ""),
            ("{0} {}", "1, 2"), ("{} {0}", "1, 2"), ("{a}", "1"), ("{:d}", "'a'"), ("{:d}", "1.5"), ("{:s}", "1"), ("{:.2}", "1"), ("{:q}", "1"),
            ("{}", "none"), ("{:5}", "none"), ("{:>5}", "[1]"), ("{}", "[1, 'a']"), ("{:5}", "true"), ("{:d}", "true"), ("{}", "true"),
            ("{:n}", "1234"), ("{:.3}", "1000.0"), ("{:.4}", "1000.0"), ("{:.5}", "1000.0"), ("{:10}", "1.0"), ("{:,}", "0.1"), ("{:012,}", "1234567"),
            ("{:013,}", "1234567"), ("{:,}", "'a'"), ("{:z.1f}", "-0.01"), ("{:+.1f}", "0.0"), ("{:<08}", "5"), ("{:é^5}", "'a'"), ("{!x}", "1"),
            ("{0[a}", "1"), ("{0.}", "1"), ("{:#.3g}", "1.0"), ("{:b}", "-5"), ("{:,}", "big"), ("{:x}", "huge"), ("{:.1f}", "big"), ("{:f}", "('inf'|float)"),
            ("{:E}", "('inf'|float)"), ("{:6}", "('inf'|float)"), ("{0}{1[0]}{2[x][1]}", "1, [2], {'x': [3, 4]}")):
        yield f"{template!r}.format({arguments})"
    yield from ("'{a} {b[0]}'.format_map({'a': 1, 'b': [2]})", "'{a}'.format_map({})", "'{}'.format_map({'a': 1})", "'{a:>4}'.format_map({'a': 1})")
    for template, value in (
            ("%s", "1"), ("%s %s", "(1, 'a')"), ("%d", "3.7"), ("%d", "'a'"), ("%5d|%-5d|%05d", "(1, 2, 3)"), ("%+d % d", "(1, 2)"), ("%x %X %o", "(255, 255, 8)"),
            ("%#x %#o", "(255, 8)"), ("%x", "1.5"), ("%.2f", "3.14159"), ("%8.2f|", "3.14159"), ("%e", "12345.678"), ("%g", "0.00001"), ("%G", "1e20"),
            ("%r %a", "('é', 'é')"), ("%c%c", "(97, 'b')"), ("%c", "'ab'"), ("%%", "()"), ("%5%", "()"), ("%(a)s %(b)d", "{'a': 'x', 'b': 2}"), ("%(a)s", "{}"),
            ("%s", "()"), ("%s", "(1, 2)"), ("a", "1"), ("a", "{}"), ("a", "[1]"), ("%*d", "(5, 42)"), ("%-*d|", "(5, 42)"), ("%.*f", "(1, 2.55)"), ("%.3s", "'abcdef'"),
            ("%.3d", "5"), ("%i %u", "(1, 2)"), ("%s", "none"), ("%s", "[1, 'a']"), ("%d", "true"), ("%d", "big"), ("%x", "huge"), ("%q", "1"), ("%", "1"), ("%ld", "5"),
            ("%#.3g", "1.0"), ("%f", "('inf'|float)"), ("%d", "('inf'|float)"), ("%s", "{'a': 1}"), ("%05s", "'a'"), ("%-5s|", "'a'"), ("%+.1e", "0.0"), ("%s", "nothing"), ("%d", "nothing")):
        yield f"{template!r} % {value}"
    yield from ("'%s-%s'|format('a', 1)", "'%(a)s'|format(a=1)", "'%s'|format(1, a=2)", "'%s'|format", "'%d'|format('a')")


def numbers():
    for text in ("'12'", "' 12 '", "'-12'", "'+3'", "'0x10'", "'0b11'", "'0o17'", "'1_000'", "'_1'", "'1__0'", "'1e3'", "'42.9'", "'-42.9'", "'abc'", "''",
                 "'inf'", "'nan'", "'٣'", "'012'", "1e22", "1.9", "-1.9", "1e300", "true", "none", "[]", "big", "huge", "'9223372036854775808'", "'1e400'",
                 "('inf'|float)", "nothing", "'0x'", "'1 2'", "'.5'", "'5.'", "'.'", "'1e'", "'infinity'", "'-inf'", "'0x1p3'", "'1_0.5'", "'1._5'"):
        yield f"{text}|int"
        yield f"{text}|float"
    yield from (f"'{text}'|int(0, {base})" for text in ("0b11", "0x1F", "0o17", "1F", "zz", "12", "012", "0", "00", "0_1", "0x_f", "7")
                for base in (0, 2, 8, 16, 36, 1, 37))
    yield from ("'x'|int('d')", "'x'|int(default=5)", "'10'|int(base=2)", "'x'|int(none)", "'1'|int(0, none)", "'1'|int(0, 10, 1)", "'x'|int(base='a')",
                "'x'|float('d')", "'x'|float(default=1)")
    for value in ("2.5", "3.5", "-2.5", "1234", "1250", "1350", "-1250", "2.675", "1234.5678", "1e22", "0.5", "big", "true", "1e16", "15.0", "250.5"):
        yield f"{value}|round"
        yield from (f"{value}|round({arguments})" for arguments in ("1", "2", "-1", "-2", "0, 'ceil'", "1, 'floor'", "-2, 'ceil'", "none"))
    yield from ("'a'|round", "1|round(0, 'up')", "1|round(method='ceil')", "1|round(1.5)", "nothing|round", "2.5|round(precision=0)", "('inf'|float)|round", "('inf'|float)|round(none)")
    values = ("7", "-7", "2", "-2", "0", "2.5", "-2.5", "0.0", "true", "9223372036854775807", "big", "huge", "(-9223372036854775807 - 1)")
    for a, b in itertools.product(values, repeat=2):
        yield from (f"{a} {operation} {b}" for operation in ("+", "-", "*", "//", "%", "<", "=="))
    yield from (f"{a} / {b}" for a in ("7", "-7", "0", "2.5", "true") for b in ("2", "-2", "0", "2.5", "0.0", "true"))
    yield from (f"{a} ** {b}" for a in ("2", "-3", "0", "1", "-1", "2.0", "0.5", "10") for b in ("0", "1", "3", "64", "100", "-1", "0.5", "-0.5"))
    yield from ("-big", "+big", "-(9223372036854775807 + 1)", "big|abs", "-7|abs", "-7.5|abs", "'a'|abs", "none|abs", "true|abs", "big > 1e19", "big == 1.8446744073709552e19",
                "big in [1, 18446744073709551615]", "{big: 1}[18446744073709551615]", "{1: 'a'}[1.0]", "{1: 'a'}[true]", "[1][big]", "'abc'[:big]", "'abc'[-big:]",
                "'a' * big", "big|string", "big|tojson", "[huge]|tojson", "18446744073709551615", "-9223372036854775808", "0xFFFFFFFFFFFFFFFFFF", "1_000_000", "1e5", "1.5e3", "0b101 + 0o17",
                "2**200", "(2**200)|tojson", "10**18 * 10", "big % 10", "big // -10", "-big // 10", "-big % 10", "big is odd", "big is integer", "big is divisibleby 5", "'%d' % (2**70)",
                "5.bit_length()", "f.is_integer()", "(2.0).is_integer()", "1 < 2.5", "9007199254740993 == 9007199254740992.0", "9007199254740993 > 9007199254740992.0", "('inf'|float) > big",
                "[0.1 + 0.2, 1e16, 1e-5, 1.0, -0.0, 1e22, 123456789012345680.0]", "7.0 // 2", "-7.5 // 2", "-7.5 % 2", "7 % -2.5", "0.0 // 3", "1 / 3")
    for value in ("0", "1", "999", "1000", "1500", "1000000", "123456789", "1e30", "1e12", "'2048'", "1.5", "-5", "'x'", "none"):
        yield f"{value}|filesizeformat"
        yield f"{value}|filesizeformat(true)"


def collections():
    yield from ("l.index(3)", "l.index(3, 1)", "l.index(3, -1)", "l.index(1, 0, 1)", "l.index(1, 0, -1)", "l.index(9)", "l.index()", "l.index(3, start=1)", "l.count(3)", "l.count()",
                "l.count(1, 2)", "l.copy()", "(1, 2, 1).index(1, 1)", "(1, 2).count(1)", "(1, 2).copy()", "l.append(1)", "l.sort()", "l.nothing", "l[0]", "l[-1]", "l[9]", "l['0']", "l.0",
                "l[1:]", "l[::-1]", "l[::2]", "l[5:]", "l[:-1]", "l[none:2]", "l[::0]", "l['a':]", "'hällo'[1]", "'hällo'[-1]", "'hällo'[1:3]", "'hällo'[::-1]", "'hällo'[3:1]", "''[0]", "'abc'[9]",
                "(1, 2, 3)[1:]", "range(5)[1:3]", "range(10)[::3]|list", "range(5)[::-1]|list", "range(3)", "range(1, 9, 3)", "range(3)|tojson", "range(3)|list", "range(3) + [1]", "range(3)[1]",
                "range(3)[-1]", "2 in range(3)", "2.0 in range(3)", "'a' in range(3)", "range(3)|length", "range(3)|last", "range(3) == range(0, 3)", "range(0)", "range(5, 1)|list", "range(5, 1, -2)|list",
                "range()", "range('a')", "range(1, 2, 0)", "range(100001)", "range(stop=3)", "range(3).index(1)", "range(3).start",
                "d.get('b')", "d.get('x')", "d.get('x', 5)", "d.get('x', default=5)", "d.get()", "d.get(['x'])", "d.get('a')[0]", "d.keys()", "d.values()", "d.items()", "d.keys()|list",
                "d.values()|list", "d.items()|list", "d.items", "d['items']", "d.items() is mapping", "d.copy()", "d.pop('a')", "d.update({})", "d.keys(1)", "d.b", "d['x'] is defined", "d.x.y",
                "d[['a']] is defined", "'a' in d", "1 in d", "['a'] in d", "d.keys()|length", "d.items()|first", "d.values()|last", "'b' in d.keys()", "('b', 1) in d.items()", "d|length", "d|list", "d|first",
                "d|last", "d|items|list", "l|items", "nothing|items|list", "d == {'b': 1, 'items': 3, 'a': [2, none]}", "{} or 'x'", "{'a': 1}.a", "{'a': 1}['a']", "{1: 2}|tojson", "{(1, 2): 3}",
                "{[1]: 2}", "{none: 1, true: 2, 1.5: 3}|tojson", "dict(a=1)", "dict([('a', 1)], b=2)", "dict({'a': 1})", "dict(1)", "dict([1])", "namespace(a=1).a", "namespace({'a': 1}).a",
                "[1] + [2]", "[1] + (2,)", "(1,) + (2,)", "[1] * 2", "2 * (1,)", "[1] - [1]", "[1, 2] < [1, 3]", "[1] < [1, 0]", "(1,) == [1]", "[] == ()", "'a' < 'B'", "'é' < 'f'", "'a' < none", "none == none",
                "[1, [2]] == [1, [2]]", "1 == true", "'1' == 1", "1 in [true]", "'' in 'a'", "1 in 'a'", "'bc' in 'abcd'", "1 not in [2]", "nothing in [1]", "nothing == nothing", "1 in nothing", "1 in 5",
                "1 < 2 < 3", "1 < 3 < 2", "not 1", "none is none", "1 if 0", "'a' ~ 1 ~ none ~ [1]", "'a' + 1", "1 + 'a'", "none + 1", "nothing + 1", "-'a'", "+none", "'ab' * 2", "'ab' * -1", "'ab' * 1.5",
                "nothing|default('x')", "none|default('x')", "none|default('x', true)", "''|default('x', boolean=true)", "nothing|default", "1|default(default_value=2)", "nothing|d(1)", "1|default('a', true, 3)",
                "s|first", "s|last", "''|first is defined", "[]|last is defined", "5|first", "l|first", "l|length", "s|length", "u|length", "5|length", "none|length", "nothing|length", "s|count",
                "s|reverse", "l|reverse|list", "l|reverse", "d|reverse|list", "5|reverse", "s|list", "5|list", "none|list", "l|join", "l|join('-')", "l|join(d='-')", "r|join(',', attribute='n')", "r|join(',', 'n')",
                "l|join('-', 'a', 1)", "5|join", "s|join('.')", "[1, none, 'a', 2.0]|join('|')", "l|sort", "l|sort(true)", "l|sort(reverse=true)", "w|sort", "w|sort(case_sensitive=true)", "r|sort(attribute='v')|map(attribute='n')|list",
                "r|sort(attribute='v,n')|map(attribute='n')|list", "r|sort(attribute='v', reverse=true)|map(attribute='n')|list", "[1, 'a']|sort", "[none, 1]|sort", "[[2], [1, 5]]|sort", "d|sort", "l|sort(foo=1)",
                "['a', 'A', 'b']|unique|list", "['a', 'A', 'b']|unique(true)|list", "r|unique(attribute='v')|map(attribute='n')|list", "[1, 1.0, true]|unique|list", "[[1]]|unique|list", "l|min", "l|max", "w|min",
                "w|max", "w|max(true)", "r|min(attribute='v')", "[]|min is defined", "[1, 'a']|max", "['b', 'B']|max", "l|sum", "r|sum('v')", "r|sum(attribute='v', start=10)", "[[1], [2]]|sum(start=[])", "['a']|sum",
                "['a']|sum(start='')", "[]|sum", "[1.5, 2]|sum", "range(5)|batch(2)|list", "range(5)|batch(2, 'x')|list", "range(5)|batch(0)|list", "range(5)|batch(linecount=3, fill_with=0)|list", "range(5)|batch", "range(5)|batch(-1)|list",
                "range(7)|slice(3)|list", "range(7)|slice(3, 'x')|list", "range(6)|slice(3, 'x')|list", "range(2)|slice(0)|list", "range(2)|slice(-1)|list", "range(2)|slice(5)|list", "d|dictsort", "{'B': 1, 'a': 2}|dictsort",
                "{'B': 1, 'a': 2}|dictsort(true)", "{'a': 2, 'b': 1}|dictsort(by='value')", "{'a': 2, 'b': 1}|dictsort(false, 'value', true)", "{'a': 1}|dictsort(by='x')", "l|dictsort", "{1: 1, 'a': 2}|dictsort",
                "r|groupby('g')|map('first')|list", "(r|groupby('g'))[0].grouper", "(r|groupby('g'))[1].list|length", "(r|groupby('v'))[0]", "r|groupby('g', case_sensitive=true)|map(attribute='grouper')|list",
                "r|groupby('q', default='none')|map(attribute='grouper')|list", "r|groupby", "r|groupby(attribute='v')|length", "(r|groupby('v'))[0] == (1, [r[1]])", "(r|groupby('v'))[0]|length", "r|groupby('v')|list|tojson",
                "r|map(attribute='n')|list", "r|map(attribute='q', default=0)|list", "r|map(attribute='q')|list", "w|map('upper')|list", "w|map('replace', 'a', 'x')|list", "w|map('nothing')|list", "w|map|list", "r|map(attribute='n', foo=1)|list",
                "['1', 'x']|map('int', default=7)|list", "none|map('upper')|list", "5|map('upper')|list", "l|map('string')|join", "[[1, 2], [3]]|map('first')|list", "[[1, 2], [3, 4]]|map(attribute=1)|list", "[{'a': {'b': 1}}]|map(attribute='a.b')|list",
                "[{'a': [5, 6]}]|map(attribute='a.1')|list", "l|select|list", "[0, 1, '']|select|list", "l|select('odd')|list", "l|select('gt', 1)|list", "l|select('nothing')|list", "l|reject('odd')|list", "l|reject('in', [1, 2])|list",
                "r|selectattr('v', 'eq', 2)|map(attribute='n')|join", "r|rejectattr('v', 'eq', 2)|map(attribute='n')|join", "r|selectattr('q')|list", "r|selectattr('q', 'defined')|list", "r|selectattr", "r|selectattr('v', '>', 1)|list|length",
                "l|select('odd')", "l|select('odd')|length", "l|select('odd')|first", "l|select('odd')|last", "(l|map('string'))[0] is defined", "l|map('string') is iterable", "l|map('string') is sequence",
                "d|attr('get')('b')", "d|attr('b') is defined", "s|attr('upper')()", "1|attr(1)", "d|attr")
    yield from (f"{value} is {test}" for value in ("1", "1.0", "true", "none", "'a'", "'A'", "'1'", "[]", "()", "{}", "nothing", "range(1)", "l|map('int')", "d.items()", "range", "2", "''")
                for test in ("defined undefined none boolean true false integer float number string mapping sequence iterable callable lower upper escaped".split()))
    yield from ("4 is even", "'a' is even", "4.0 is even", "3 is divisibleby(3)", "3 is divisibleby 0", "1 is eq 1", "1 is eq", "1 is ne 2", "1 is lt 2", "2 is ge 2", "1 is in [1]", "'a' is sameas 'a'", "1 is sameas 1.0",
                "'upper' is filter", "'nothing' is filter", "'odd' is test", "1 is test", "[] is filter", "1 is equalto(1)", "1 is greaterthan 0", "1 is lessthan 0", "1 is not none", "1 is odd(1)", "1 is nothing")


def texts():
    for value in ("s", "u", "b", "'a-b (c) [d] {e} <f>g'", "none", "[1]", "42", "nothing", "'é<&>\"'"):
        yield from (f"{value}|{name}" for name in (
            "upper lower capitalize title trim string safe escape forceescape wordcount striptags urlencode center(20) tojson length".split()))
    yield from ("'<a>'|e ~ '<'", "'xxaxx'|trim('x')", "'xxaxx'|trim(chars='x')", "' a '|trim(none)", "'a'|trim(1)", "'aaa'|replace('a', 'b')", "'aaa'|replace('a', 'b', 2)", "'aaa'|replace('a', 'b', count=1)", "'a1'|replace(1, 2)",
                "'aaa'|replace('a')", "'aaa'|replace('a', 'b', none)", "123|replace('2', 'x')", "'aaa'|replace(old='a', new='c')", "'ab'|center", "'ab'|center(width=5)", "'ab'|center('5')",
                "'a\\nb\\n\\nc'|indent", "'a\\nb\\n\\nc'|indent(2, true)", "'a\\nb\\n\\nc'|indent(2, blank=true)", "'a\\nb\\n\\nc'|indent('> ', true, true)", "'a\\nb\\n'|indent(width=1)", "1|indent", "'a'|indent(1, 2, 3, 4)", "'a\\nb'|indent(-1)",
                "'one two three four'|truncate(9)", "'one two three four'|truncate(9, true)", "'one two three four'|truncate(9, true, '')", "'one two three'|truncate(11)", "'one two three'|truncate(9, leeway=0)", "'one two three'|truncate(2)",
                "'one two three four'|truncate(length=9, end='!')", "'abcdefghijklmnop'|truncate(9)", "[1, 2]|truncate", "'aé bé cé dé eé fé'|truncate(8, false, '…', 0)", "'x'|truncate(5, leeway=-1)", "5|truncate",
                "'the quick brown fox jumped over'|wordwrap(10)", "'the quick brown fox jumped over'|wordwrap(width=12, wrapstring='|')", "'aaaaaaaaaaaaaaa b'|wordwrap(5)", "'aaaaaaaaaaaaaaa b'|wordwrap(5, false)",
                "'a well-known fact -- said he--and left'|wordwrap(8)", "'a well-known fact'|wordwrap(8, break_on_hyphens=false)", "'a  b   c'|wordwrap(3)", "'one\\ntwo three\\n\\nfour'|wordwrap(6)", "'x-y-z a1-b2 abc-def-ghi'|wordwrap(4)", "''|wordwrap",
                "' leading blanks here'|wordwrap(8)", "'aa-bbbbbbbbbb'|wordwrap(6)", "5|wordwrap", "'a'|wordwrap(0)",
                "'<p>a <b>b</b><!-- c > --> &amp; &lt;d&gt; &#65;&#x42;</p>'|striptags", "'a < b'|striptags", "'<<a>>'|striptags", "'a&nbsp;b &quot;'|striptags",
                "'a b/ä?&='|urlencode", "{'a b': 'c/d', 'e': 1}|urlencode", "[('a', 1), ('b', 'x y')]|urlencode", "5|urlencode", "{'a': none, 'b': 1, 'c': '<\"'}|xmlattr", "{'a': 1}|xmlattr(false)", "{}|xmlattr", "{'a b': 1}|xmlattr", "[]|xmlattr",
                "{'class': ['a']}|xmlattr(autospace=true)", "d|tojson", "d|tojson(indent=2)", "d|tojson(indent='\\t')", "d|tojson(indent=0)", "d|tojson(false, 2)", "d|tojson(separators=(',', ':'))", "d|tojson(sort_keys=true)", "u|tojson(ensure_ascii=true)",
                "u|tojson(true)", "'\\x7f\\x1f</'|tojson", "'🙂'|tojson(ensure_ascii=true)", "(1, 2)|tojson", "nothing|tojson", "range|tojson", "{'a': 1.0, 'b': 1e22, 'c': 1e-7}|tojson", "d|tojson(indent=2, foo=1)", "[]|tojson(indent=2)", "{}|tojson(indent=2)",
                "[[], {}]|tojson(indent=1)", "d|tojson(separators=',')", "('inf'|float)|tojson", "true|tojson", "none|tojson", "'a'|upper(1)", "'a'|escape(1)", "s|nothing", "s|random(1)", "'x y z'|wordcount", "'a.b-c d_e'|wordcount",
                "['a\\'b', 'a\"b', 'a\\'\"b', 'a\\nb\\\\', 'é\\x00\\u200b']", "{'a': (1,), 'b': ()}", "1.5e300|string", "[true, none]|string", "cycler('a', 'b').next()", "cycler()", "joiner('-')()", "joiner(sep='x')() ~ 'y'")
    yield from (f"strftime_now('{directive}')" for directive in (
        [f"%{letter}" for letter in "aAbBcCdDeFfgGhHIjklmMnpPrRsStTuUVwWxXyYZz%"] + ["%-d", "%_d", "%-H:%-M", "%^a", "%#p", "%05d", "%10Y", "%-j", "%_m", "%0e", "%Ey", "%Od", "%Q", "plain é %d", "%-I%P"]))
    yield from ("strftime_now()", "strftime_now(1)", "raise_exception('x')", "range(2).nothing", "lipsum(n=1)", "nothing()", "5()", "nothing.a")


def main():
    environment = make_templates.environment()
    table = []
    for expression in dict.fromkeys(itertools.chain(methods(), formats(), numbers(), collections(), texts())):
        try:
            value = environment.from_string("{{ " + expression + " }}").render(**VARIABLES)
        except NameError:
            continue  # Jinja2 cannot compile constants that are infinite.
        except Exception:
            value = None
        # Refused by name: texts drawn by chance. Left out: addresses of objects, and complex numbers.
        if "lipsum" in expression or "random" in expression:
            value = None
        if value is None or not (" at 0x" in value or value.endswith("j)")):
            table.append([expression, value])
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in table)
    text = json.dumps({"variables": VARIABLES}, ensure_ascii=False)[:-1] + ', "expressions": [\n' + lines + "\n]}\n"
    (FOLDER / "expressions.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
