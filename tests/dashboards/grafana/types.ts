// What a dashboard may hold, in Grafana's own types. JSON has no enums, so a string enum stands for its values.
import type { AnnotationQuery, Dashboard, FieldConfig, Panel, RowPanel } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as statetimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Json<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Json<Item>[]
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

// Grafana fills in the options that a file leaves out.
type Of<Type extends string, Options, Custom> = Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Type;
  options: DeepPartial<Options>;
  fieldConfig: {
    defaults: Omit<FieldConfig, 'custom'> & { custom?: DeepPartial<Custom> };
    overrides: NonNullable<Panel['fieldConfig']>['overrides'];
  };
  targets: PrometheusQuery[];
};
type DeepPartial<T> = T extends object ? { [Key in keyof T]?: DeepPartial<T[Key]> } : T;

interface DataSource {
  type: 'prometheus';
  uid: '${datasource}';
}

// The package leaves these out: @grafana/prometheus, src/types.ts and src/annotations.ts.
interface PrometheusQuery {
  datasource: DataSource;
  expr: string;
  refId: string;
  legendFormat: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
}
type PrometheusAnnotation = AnnotationQuery & { expr: string; step: string; tagKeys: string; titleFormat: string };

type AnyPanel =
  | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Of<'stat', stat.Options, object>
  | Of<'table', table.Options, table.FieldConfig>
  | Of<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>
  | RowPanel;

export type OurDashboard = Json<
  Omit<Dashboard, 'panels' | 'annotations'> & {
    panels: AnyPanel[];
    annotations?: { list?: PrometheusAnnotation[] };
  }
>;
