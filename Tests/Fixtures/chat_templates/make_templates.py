#!/usr/bin/env python3
"""Writes the chat template fixtures of this folder: templates of our own with the constructs that
published ones use, rendered by Python's Jinja2 as transformers sets it up.

    pip install jinja2==3.1.6 && python3 make_templates.py
"""
import datetime
import json
import pathlib

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = "2026-01-02T03:04:05"


class Generation(Extension):
    """transformers' tag that marks what the assistant wrote; it changes no text."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime.fromisoformat(NOW).strftime
    return env


WEATHER = {
    "type": "function",
    "function": {
        "name": "forecast", "description": "Says <what> comes & \"when\"; über alles",
        "parameters": {
            "type": "object", "required": ["place"],
            "properties": {
                "place": {"type": "string", "description": "Where"},
                "days": {"type": "integer", "default": 3, "limits": [1, 2.5, 1e-7, 1e22, None, True]},
                "Units": {"type": "string", "enum": ["metric", "imperial"]},
            },
        },
    },
}
CALL = {"type": "function", "id": "call00001",
        "function": {"name": "forecast", "arguments": {"place": "Gdańsk", "days": 2, "deep": {"a": [], "b": {}}}}}
CONVERSATIONS = {
    "short": dict(messages=[{"role": "user", "content": "Hi"}]),
    "system": dict(messages=[{"role": "system", "content": " Be brief. \n"},
                             {"role": "user", "content": "Why <b>&\"'?"}]),
    "turns": dict(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                            {"role": "user", "content": "c\n\n"}], add_generation_prompt=False),
    "broken": dict(messages=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
    "thinking": dict(messages=[
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\n2"},
        {"role": "user", "content": "sure?"}], enable_thinking=False),
    "tools": dict(messages=[{"role": "user", "content": "Rain?"}], tools=[WEATHER]),
    "tool turn": dict(tools=[WEATHER], messages=[
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]},
        {"role": "tool", "name": "forecast", "tool_call_id": "call00001", "content": "{\"mm\": 3}"},
        {"role": "tool", "name": "forecast", "tool_call_id": "call00002", "content": "none"}]),
    "parts": dict(messages=[{"role": "user", "content": [
        {"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "日本語 🙂 é"}]}]),
    "empty": dict(messages=[]),
}

TEMPLATES = {
    "markers": """
{%- set ns = namespace(system='', turns=0) -%}
{%- for message in messages if message.role == 'system' -%}
    {%- set ns.system = ns.system ~ message['content'] | trim -%}
{%- endfor -%}
{{- bos_token -}}
{%- if ns.system %}
    {{- '[SYSTEM] ' + ns.system + '\\n' }}
{%- endif %}
{# a comment
   of two lines #}
{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
    {%- set ns.turns = ns.turns + 1 %}
    {%- if (message['role'] == 'user') != (ns.turns % 2 == 1) and not tools %}
        {{- raise_exception('roles must alternate, turn ' ~ ns.turns ~ ' does not') }}
    {%- endif %}
    {%- if message.content is string %}
[{{ message.role | upper }}:{{ loop.index0 }}/{{ loop.length }}] {{ message.content }}
    {%- elif message.content is iterable %}
[{{ message.role | title }}]
        {%- for part in message.content %}
            {%- if part.type == 'text' %}{{ part.text }}{% else %} <{{ part['type'] }}/> {% endif -%}
        {%- endfor %}
    {%- endif %}
    {{- eos_token if message.role == 'assistant' }}
{% else %}
nobody spoke
{% endfor %}
{% if add_generation_prompt -%}
[ASSISTANT]
{%- endif %}
""",
    "tool_calls": """
{%- macro field(name, spec, level=1, last=true) -%}
{{ '  ' * level }}{{ name }}: {{ spec.type | default('any', true) }}
    {%- if spec.enum is defined %} ({{ spec.enum | join(' | ') }}){% endif %}
    {%- if not last %},{% endif %}
{%- endmacro -%}
{%- macro boxed(title) -%}
<{{ title }}>{{ caller(title | length) }}</{{ title }}>
{%- endmacro -%}
{%- if tools is not none and tools %}
{{- '# Tools\\n' }}
{%- for tool in tools %}
{{ tool | tojson }}
{{ tool.function.parameters | tojson(indent=2) }}
{%- for key, spec in tool.function.parameters.properties | dictsort %}
{{ field(key, spec, last=loop.last) }}
{%- endfor %}
{%- for key, spec in tool.function.parameters.properties.items() if key != 'days' %}
{{ loop.index }}{{ loop.cycle('.', ')') }} {{ key }}{{ loop.nextitem[0] if not loop.last }}
{%- endfor %}
{%- endfor %}
{%- endif %}
{%- for message in messages %}
{%- if message.tool_calls is defined and message.tool_calls is not none %}
{%- for tool_call in message.tool_calls %}
{%- set tool_call = tool_call.function if tool_call.function else tool_call %}
{%- call(width) boxed('call') %}{{ tool_call.name }}:{{ width }}:{{ tool_call.arguments | tojson }}{% endcall %}
{%- for name, value in tool_call.arguments | items %}
{{ name }}={{ value if value is string else value | string }};
{%- endfor %}
{%- endfor %}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
<results>
{%- endif %}
{{ message.tool_call_id[-3:] }} {{ message.content | replace('"', "'") }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
</results>
{%- endif %}
{%- else %}
{{ message.role }}: {% generation %}{{ message.content if message.content is string else message.content | map(attribute='type') | list }}{% endgeneration %}
{%- endif %}
{%- endfor %}
""",
    "reasoning": """
{%- set enable_thinking = enable_thinking | default(true) -%}
{%- set last = messages | length - 1 -%}
{%- set ns = namespace(query=last, found=false) -%}
{%- for message in messages[::-1] -%}
    {%- if not ns.found and message.role == 'user' and message.content is string and not message.content.startswith('<x>') -%}
        {%- set ns.found = true -%}
        {%- set ns.query = last - loop.index0 -%}
    {%- endif -%}
{%- endfor -%}
Today is {{ strftime_now('%d %B %Y') }}, {{ strftime_now('%A %H:%M') }}.
{% for message in messages -%}
    {%- set content = message.content if message.content is string else '' -%}
    {%- if message.role == 'assistant' and '</think>' in content -%}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') -%}
        {%- set answer = content.split('</think>')[-1].lstrip('\\n') -%}
        {{ '<assistant>' ~ ('(' ~ thought ~ ') ' if enable_thinking or loop.index0 > ns.query) ~ answer }}
    {%- else -%}
        {{ '<' + message.role + '>' + content.strip() }}
    {%- endif %}
{% endfor -%}
{%- if messages and messages[0].role not in ['user', 'system'] -%}
    {{ raise_exception("must start with " + 'a user') }}
{%- endif -%}
{{ messages[0].role | default('none at all') }}
{%- if add_generation_prompt %}{{ '<assistant>' if enable_thinking else '<assistant><think></think>' }}{% endif %}
""",
    "language": """
{%- set text %}  block {{ 1 + 2 * 3 ** 2 // 4 % 5 - 1.5 }} {% endset -%}
[{{ text }}|{{ text | trim }}|{{ text | length }}]
{{ [1, 2.0, 'it''s', "it's", none, true, {'k': (1,)}, 1e16, 1e-5, 0.1 + 0.2, -7 // 2, -7 % 3, 7 / 2] }}
{{ 1 < 2 < 3 }} {{ not 1 == 2 }} {{ 'a' in 'cat' }} {{ 3 not in [1, 2] }} {{ 'x' if false }} {{ undefined_name | default('d') }}
{{ 'abcdef'[1:-1:2] }} {{ 'abcdef'[::-1] }} {{ [1, 2, 3][-2:] }} {{ (1, 2) + (3,) }} {{ [0] * 3 }} {{ 'ab' * 2 }}
{{ ' a,b , c '.split(',') }} {{ 'a b  c'.split() }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'x=1'.partition('=') }}
{{ 'hello world'.title() }} {{ 'hELLO'.capitalize() }} {{ 'abc'.upper() }} {{ 'a{}b{}'.format(1, 'z') }} {{ '%s-%05.2f-%d' | format('q', 3.14159, 42) }}
{{ 'a.b'.replace('.', '!') }} {{ 'abab'.count('ab') }} {{ 'abc'.find('c') }} {{ 'abc'.index('b') }} {{ '-'.join(['x', 'y']) }} {{ 'Ab'.swapcase() }}
{{ {'b': 1, 'a': [2, {'c': none}]} | tojson }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }} {{ 'ü"\\\\/<\\n' | tojson }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort(reverse=true) }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3, 4] | sum }} {{ [3, 1] | min }} {{ 'abc' | list | last }}
{{ range(2, 11, 3) | list }} {{ range(5) | select('even') | list }} {{ ['', 'a'] | reject('equalto', '') | list }} {{ [1, 2, 3, 4, 5] | batch(2, 0) | list }}
{{ [{'n': 'x', 'v': 1}, {'n': 'y', 'v': 2}] | selectattr('v', 'gt', 1) | map(attribute='n') | join }} {{ [{'g': 1, 'v': 2}, {'g': 1, 'v': 3}] | groupby('g') | length }}
{%- for a, b in [(1, 2), (3, 4)] recursive %} {{ a }}-{{ b }}{{ loop('') if a > 5 }}{{ '' if loop.last else ';' }}{% endfor %}

{% for row in [[1, [2, 3]], [4, []]] %}{% for cell in row if cell is iterable %}{{ cell }}{% else %}none{% endfor %}{% endfor %}

{% for i in range(10) %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}

{% with a = 1, b = 'two' %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% set c = cycler('odd', 'even') %}{{ c.next() }} {{ c.next() }} {{ c.current }}{% set j = joiner('/') %}{% for i in 'abc' %}{{ j() }}{{ i }}{% endfor %}

{% raw %}{{ not rendered }} {% if %}{% endraw %}
{% filter upper | replace('B', 'b!') %}abc{% endfilter %}
{{ 42 is number }} {{ 'x' is string }} {{ [] is sequence }} {{ {} is mapping }} {{ none is none }} {{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ 'A' is upper }} {{ 1.0 is float }} {{ true is boolean }} {{ 2 is integer }} {{ 5 is eq 5 }} {{ x is undefined }}
{{ 'one two three' | truncate(9) }}|{{ 'a\\nb' | indent(2) }}|{{ 'mid' | center(9) }}|{{ 3.7 | int }}|{{ '12' | int + 1 }}|{{ 2.567 | round(1) }}|{{ -3 | abs }}|{{ 'a b' | wordcount }}|{{ '<&>' | e }}|{{ 'http://a b' | urlencode }}
{%+ if true %}  kept {%- endif +%}
end
""",
    "whitespace": "  {% if true %}\n  a\n  {% endif %}\n\t{{- ' b ' -}}\n {% for i in [1, 2] -%}\n  {{ i }}\n{%- endfor %}\n\n{#- c -#}\n  {%+ if true %}d{% endif +%}\n {# e #}\nf  {% set x = 1 %}\ng {{ x }}\n{% if x %}h{% endif %}  \ni\n\n",
    "messages_only": "{{ messages }}\n{% for m in messages %}{{ m.items() | list }}{{ m.content.nothing }}{{ m['role'][0] }}{% endfor %}{{ messages[0].content.split('a') }}{{ messages[99] is defined }}\n",
    "misuse": "{{ messages[0].missing.deeper }}",
    "arithmetic_misuse": "{{ 'a' + messages | length }}",
}


def render(template, variables):
    try:
        return {"rendered": environment().from_string(template).render(**variables)}
    except Exception as error:
        return {"error": str(error)}


def main():
    folder = pathlib.Path(__file__).parent
    for name, template in TEMPLATES.items():
        cases = []
        for title, conversation in CONVERSATIONS.items():
            given = {"tools": None, "add_generation_prompt": True, "bos_token": "<s>",
                     "eos_token": "</s>", **conversation}
            outcome = render(template, {"documents": None, **given})
            cases.append({"name": title, **given, "strftime_now": NOW, **outcome})
        text = json.dumps({"template": template, "cases": cases}, ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
