"""Result rows and run folders: written by runs, read by reports."""
