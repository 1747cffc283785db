.PHONY: quick test docs serve bench

quick:
	ruff format --check .
	ruff check .
	codespell
	python docs/tables.py --check
	mypy
	lint-imports
	pytest -q -m "not slow"

test:
	pytest -q -n auto --dist loadfile

docs:
	sphinx-build -q -W --keep-going docs docs/_build/html

serve:
	sphinx-autobuild docs docs/_build/html --ignore "docs/outside/*" --ignore "docs/_build/*" \
	    --watch finetune --watch prompts --watch handseg --watch CONTRIBUTING.md

bench:
	python benchmarks/bench_segment.py
