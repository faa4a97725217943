//! A panel of a dashboard, as Grafana reads it.

use serde_json::{Value as Json, json};

/// What every query is restricted to, written as `@` in them.
pub(super) const SCOPE: &str = r#"job=~"$job", instance=~"$instance""#;

/// Where all data come from: the dashboard's own variable.
pub(super) fn datasource() -> Json {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// How a panel draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One number.
    Stat,
    /// Lines over time.
    Lines,
    /// Bars over time, of what was counted in each step.
    Bars,
    /// Rows of labels with a number.
    Table,
    /// Text.
    Text,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    kind: Kind,
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    queries: Vec<(String, &'static str)>,
    /// From which value on which colour.
    steps: Vec<(Option<f64>, &'static str)>,
    links: Vec<(&'static str, String)>,
    text: String,
    is_stacked: bool,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Panel {
    fn new(kind: Kind, title: &'static str, description: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Stat => (4, 4),
            Kind::Lines | Kind::Bars | Kind::Table | Kind::Text => (12, 8),
        };
        Self {
            kind,
            title,
            description,
            unit: "short",
            queries: Vec::new(),
            steps: vec![(None, "green")],
            links: Vec::new(),
            text: String::new(),
            is_stacked: false,
            width,
            height,
        }
    }

    /// One number.
    pub(super) fn stat(title: &'static str, description: &'static str) -> Self {
        Self { steps: vec![(None, "text")], ..Self::new(Kind::Stat, title, description) }
    }

    /// Lines over time.
    pub(super) fn lines(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Lines, title, description)
    }

    /// Bars over time, one on the other.
    pub(super) fn bars(title: &'static str, description: &'static str) -> Self {
        Self { is_stacked: true, ..Self::new(Kind::Bars, title, description) }
    }

    /// A table of the labels of a query, with its numbers now.
    pub(super) fn table(title: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Table, title, description)
    }

    /// Text, in Markdown.
    pub(super) fn text(title: &'static str, description: &'static str, text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::new(Kind::Text, title, description) }
    }

    /// With a query; `@` stands for what every query is restricted to.
    pub(super) fn query(mut self, expression: &str, legend: &'static str) -> Self {
        self.queries.push((expression.replace('@', SCOPE), legend));
        self
    }

    /// With this unit of Grafana's.
    pub(super) fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// In another colour from this value on.
    pub(super) fn from(mut self, value: f64, colour: &'static str) -> Self {
        self.steps.push((Some(value), colour));
        self
    }

    /// In this colour below all steps.
    pub(super) fn below(mut self, colour: &'static str) -> Self {
        self.steps[0].1 = colour;
        self
    }

    /// One line on the other.
    pub(super) fn stacked(self) -> Self {
        Self { is_stacked: true, ..self }
    }

    /// As wide as this, of 24.
    pub(super) fn wide(self, width: u32) -> Self {
        Self { width, ..self }
    }

    /// With a link to a page of the runbooks.
    pub(super) fn runbook(mut self, page: &str) -> Self {
        self.links.push(("Runbook", format!("${{docs}}/runbooks/{page}")));
        self
    }

    /// Each row or line leads to another dashboard, with this label as its variable.
    pub(super) fn leads_to(mut self, title: &'static str, uid: &str, label: &str) -> Self {
        let to = format!(
            "/d/{uid}?${{datasource:queryparam}}&${{job:queryparam}}&${{instance:queryparam}}\
             &var-{label}=${{__field.labels.{label}}}&${{__url_time_range}}"
        );
        self.links.push((title, to));
        self
    }

    /// Its queries.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &str> {
        self.queries.iter().map(|(expression, _)| expression.as_str())
    }

    /// As Grafana reads it, at a place.
    pub(super) fn json(&self, id: u32, x: u32, y: u32) -> Json {
        let mut panel = json!({
            "id": id,
            "type": self.type_name(),
            "title": self.title,
            "description": self.description,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
        });
        if self.kind == Kind::Text {
            panel["options"] = json!({"mode": "markdown", "content": self.text});
            return panel;
        }
        panel["datasource"] = datasource();
        panel["links"] = self.panel_links();
        panel["targets"] = self.queries.iter().enumerate().map(|it| self.target(it)).collect();
        panel["fieldConfig"] = json!({"defaults": self.defaults(), "overrides": []});
        panel["options"] = self.options();
        if self.kind == Kind::Table {
            panel["transformations"] = json!([
                {"id": "organize", "options": {"excludeByName": {"Time": true}}},
            ]);
        }
        panel
    }

    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Stat => "stat",
            Kind::Lines | Kind::Bars => "timeseries",
            Kind::Table => "table",
            Kind::Text => "text",
        }
    }

    /// Links of the panel itself; those of its data are with the data.
    fn panel_links(&self) -> Json {
        let links = self.links.iter().filter(|(_, to)| !to.contains("__field"));
        links.map(|(title, url)| link(title, url, true)).collect()
    }

    fn target(&self, (index, (expression, legend)): (usize, &(String, &'static str))) -> Json {
        let letter = char::from(b'A' + index as u8).to_string();
        let is_instant = matches!(self.kind, Kind::Table);
        json!({
            "refId": letter,
            "datasource": datasource(),
            "editorMode": "code",
            "expr": expression,
            "legendFormat": legend,
            "instant": is_instant,
            "range": !is_instant,
            "format": if is_instant { "table" } else { "time_series" },
        })
    }

    fn defaults(&self) -> Json {
        let steps: Vec<Json> = (self.steps.iter())
            .map(|(value, colour)| json!({"value": value, "color": colour}))
            .collect();
        let links: Vec<Json> = (self.links.iter())
            .filter(|(_, to)| to.contains("__field"))
            .map(|(title, url)| link(title, url, false))
            .collect();
        let mut defaults = json!({
            "unit": self.unit,
            "min": 0,
            "color": {"mode": if self.kind == Kind::Stat { "thresholds" } else { "palette-classic" }},
            "thresholds": {"mode": "absolute", "steps": steps},
            "links": links,
        });
        if matches!(self.kind, Kind::Lines | Kind::Bars) {
            let is_bars = self.kind == Kind::Bars;
            let style = if self.steps.len() > 1 { "line" } else { "off" };
            defaults["custom"] = json!({
                "drawStyle": if is_bars { "bars" } else { "line" },
                "fillOpacity": if is_bars { 80 } else { 10 },
                "lineWidth": 1,
                "showPoints": "never",
                "stacking": {"mode": if self.is_stacked { "normal" } else { "none" }, "group": "A"},
                "thresholdsStyle": {"mode": style},
            });
        }
        defaults
    }

    fn options(&self) -> Json {
        match self.kind {
            Kind::Stat => json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "colorMode": "value",
                "graphMode": "area",
            }),
            Kind::Lines | Kind::Bars => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Table => json!({"showHeader": true, "cellHeight": "sm"}),
            Kind::Text => Json::Null,
        }
    }
}

/// A link with all that the schema asks for.
fn link(title: &str, url: &str, is_elsewhere: bool) -> Json {
    json!({
        "type": "link",
        "title": title,
        "url": url,
        "icon": "external link",
        "tooltip": "",
        "tags": [],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": false,
        "targetBlank": is_elsewhere,
    })
}
