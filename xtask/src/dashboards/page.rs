//! A dashboard: variables, rows of panels, and links to the others.

use serde_json::{Value as Json, json};

use super::panel::{Panel, datasource};

/// What the dashboards of this project are found by.
const TAG: &str = "plimsoll";
/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;
/// The layout of the file that is written.
const SCHEMA: u32 = 39;

/// See the module.
pub(super) struct Page {
    /// Its name in addresses, and of its file.
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// A variable of its own: label, and the query of its values.
    pub(super) variable: Option<(&'static str, &'static str, &'static str)>,
    pub(super) rows: Vec<(&'static str, Vec<Panel>)>,
}

impl Page {
    /// Name of its file.
    pub(super) fn file(&self) -> String {
        format!("{}.json", self.uid)
    }

    /// Its panels.
    pub(super) fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|(_, panels)| panels)
    }

    /// The content of its file.
    pub(super) fn text(&self) -> String {
        let text = serde_json::to_string_pretty(&self.json()).expect("names are texts");
        text + "\n"
    }

    fn json(&self) -> Json {
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "editable": false,
            "graphTooltip": 1,
            "refresh": "30s",
            "schemaVersion": SCHEMA,
            "time": {"from": "now-3h", "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "annotations": {"list": [alerts()]},
            "links": [{
                "type": "dashboards",
                "title": "Plimsoll",
                "tags": [TAG],
                "asDropdown": true,
                "includeVars": true,
                "keepTime": true,
                "targetBlank": false,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }],
            "templating": {"list": self.variables()},
            "panels": self.laid_out(),
        })
    }

    fn variables(&self) -> Vec<Json> {
        let mut variables = vec![
            json!({
                "name": "datasource",
                "type": "datasource",
                "label": "Data source",
                "query": "prometheus",
                "refresh": 1,
            }),
            many("job", "Job", "label_values(plimsoll_build_info, job)"),
            many("instance", "Node", "label_values(plimsoll_build_info{job=~\"$job\"}, instance)"),
        ];
        if let Some((name, label, query)) = self.variable {
            variables.push(many(name, label, query));
        }
        variables.push(json!({
            "name": "docs",
            "type": "textbox",
            "label": "Address of docs/",
            "description": "Where the folder docs/ of Plimsoll is served, for links to runbooks.",
            "query": "docs",
            "current": {"text": "docs", "value": "docs"},
            "options": [],
            "hide": 2,
        }));
        variables
    }

    /// Row by row, panels side by side as long as they fit.
    fn laid_out(&self) -> Vec<Json> {
        let mut laid = Vec::new();
        let (mut id, mut y) = (0, 0);
        let mut next_id = || {
            id += 1;
            id
        };
        for (title, panels) in &self.rows {
            laid.push(json!({
                "id": next_id(),
                "type": "row",
                "title": title,
                "collapsed": false,
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                "panels": [],
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in panels {
                if x + panel.width > COLUMNS {
                    (x, y, height) = (0, y + height, 0);
                }
                laid.push(panel.json(next_id(), x, y));
                x += panel.width;
                height = height.max(panel.height);
            }
            y += height;
        }
        laid
    }
}

/// The alerts of the rules that fire, as marks over all panels.
fn alerts() -> Json {
    json!({
        "name": "Alerts that fire",
        "datasource": datasource(),
        "enable": true,
        "hide": false,
        "iconColor": "red",
        "expr": "ALERTS{alertname=~\"Plimsoll.*\", alertstate=\"firing\", severity=~\"critical|high\"}",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{node}} {{image}} {{rule}}",
    })
}

/// A variable with any number of the values that a query finds.
fn many(name: &str, label: &str, query: &str) -> Json {
    json!({
        "name": name,
        "type": "query",
        "label": label,
        "datasource": datasource(),
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}
