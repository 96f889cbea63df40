"""What an author writes: v1's names and behaviour, compiled to a PipelineSpec."""
