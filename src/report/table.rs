//! Tables, for pages and for Markdown.

use super::html::escape;

/// Cells of text under a head. The first cell of a row names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Table {
        Table { head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, as many cells as the head has.
    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = [name.into()].into_iter().chain(cells).collect();
        assert_eq!(row.len(), self.head.len(), "cells of a row");
        self.rows.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Adds the rows of a table with the same head.
    pub fn extend(&mut self, other: Table) {
        assert_eq!(self.head, other.head);
        self.rows.extend(other.rows);
    }

    /// Rows as columns, under `corner` as the head of the first.
    pub fn transposed(&self, corner: &str) -> Table {
        let head = [corner.to_owned()].into_iter().chain(self.rows.iter().map(|row| row[0].clone()));
        let row = |i: usize| [&self.head].into_iter().chain(&self.rows).map(|row| row[i].clone()).collect();
        Table { head: head.collect(), rows: (1..self.head.len()).map(row).collect() }
    }

    /// Scrolls sideways by itself where the page is too narrow.
    pub fn html(&self) -> String {
        let cells = |tag: &str, cells: &[String]| {
            cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect::<String>()
        };
        let mut html = format!(
            "<div class=\"table\" tabindex=\"0\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
            cells("th", &self.head)
        );
        for row in &self.rows {
            let (name, rest) = row.split_at(1);
            html += &format!("<tr>{}{}</tr>\n", cells("th", name), cells("td", rest));
        }
        html + "</tbody>\n</table></div>\n"
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = cells.iter().map(|cell| cell.replace('|', "\\|").replace(char::is_control, " "));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = format!("|{}\n", "---|".repeat(self.head.len()));
        line(&self.head) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        let mut table = Table::new(["", "<b>run</b>"]);
        table.row("a|b", ["1 < 2\n3".to_string()]);
        assert_eq!(table.markdown(), "|  | <b>run</b> |\n|---|---|\n| a\\|b | 1 < 2 3 |\n");
        assert_eq!(table.transposed("x").markdown(), "| x | a\\|b |\n|---|---|\n| <b>run</b> | 1 < 2 3 |\n");
        let html = table.html();
        assert!(html.contains("<th>&lt;b&gt;run&lt;/b&gt;</th>"), "{html}");
        assert!(html.contains("<tr><th>a|b</th><td>1 &lt; 2\n3</td></tr>"), "{html}");
    }
}
