"""Text of a scheduled and planned program: expressions for all languages, then a folder a language."""
